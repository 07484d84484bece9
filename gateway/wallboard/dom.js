// Descriptions of nodes, and the least change that makes the page like them. Text only ever becomes text nodes and
// attributes: there is no way from a name in the data to markup. Nodes stay, so focus, pointer and scroll survive a frame.

const SVG = "http://www.w3.org/2000/svg";

function flat(kids, into = []) {
  for (const kid of kids) {
    if (Array.isArray(kid)) flat(kid, into);
    else if (kid !== null && kid !== undefined && kid !== false && kid !== true)
      into.push(typeof kid === "object" ? kid : String(kid));
  }
  return into;
}

const plain = (x) => x !== null && typeof x === "object" && !Array.isArray(x) && x.tag === undefined;

/** `h("li.on", {title: "…"}, "text", child…)`. Attributes that are null, undefined or false are left out. */
export function h(spec, ...kids) {
  const [tag, ...classes] = spec.split(".");
  const attrs = kids.length && plain(kids[0]) ? kids.shift() : {};
  return {
    tag: tag || "div",
    ns: null,
    key: attrs.key ?? null,
    attrs: classes.length ? { class: classes.join(" "), ...attrs } : attrs,
    kids: flat(kids),
  };
}

/** The same for SVG; numbers are cut to two digits. */
export function s(tag, attrs, ...kids) {
  return { tag, ns: SVG, key: attrs?.key ?? null, attrs: attrs ?? {}, kids: flat(kids) };
}

const text = (value) =>
  typeof value === "number" ? String(Math.round(value * 100) / 100) : value === true ? "" : String(value);

function make(v) {
  if (typeof v === "string") return document.createTextNode(v);
  const node = v.ns ? document.createElementNS(v.ns, v.tag) : document.createElement(v.tag);
  node.handlers = {};
  for (const [name, value] of Object.entries(v.attrs)) set(node, name, value);
  for (const kid of v.kids) node.append(make(kid));
  return node;
}

function set(node, name, value) {
  if (name === "key") return;
  if (name.startsWith("on")) {
    const type = name.slice(2);
    if (!(type in node.handlers)) node.addEventListener(type, (event) => node.handlers[type]?.(event));
    node.handlers[type] = value;
  } else if (name === "value" && "value" in node) {
    if (node.value !== value && document.activeElement !== node) node.value = value;
  } else if (value === null || value === undefined || value === false) node.removeAttribute(name);
  else if (node.getAttribute(name) !== text(value)) node.setAttribute(name, text(value));
}

const same = (a, b) =>
  typeof a === "string" ? typeof b === "string" : typeof b !== "string" && a.tag === b.tag && a.key === b.key;

function update(node, was, now) {
  if (was === now) return;
  if (typeof now === "string") {
    if (was !== now) node.data = now;
    return;
  }
  for (const name of Object.keys(was.attrs)) if (!(name in now.attrs)) set(node, name, null);
  for (const [name, value] of Object.entries(now.attrs)) if (was.attrs[name] !== value) set(node, name, value);
  children(node, was.kids, now.kids);
}

function children(node, was, now) {
  if (was.length === now.length && was.every((kid, i) => same(kid, now[i]))) {
    let child = node.firstChild;
    for (let i = 0; i < now.length; i++) {
      const next = child.nextSibling;
      update(child, was[i], now[i]);
      child = next;
    }
    return;
  }
  const nodes = [...node.childNodes],
    keyed = new Map(),
    loose = [];
  was.forEach((kid, i) =>
    kid.key !== null && kid.key !== undefined && typeof kid !== "string"
      ? keyed.set(kid.tag + "\u0000" + kid.key, i)
      : loose.push(i),
  );
  const used = new Set();
  let place = node.firstChild;
  for (const kid of now) {
    const named = typeof kid !== "string" && kid.key !== null;
    let from = named ? keyed.get(kid.tag + "\u0000" + kid.key) : loose.find((i) => !used.has(i) && same(was[i], kid));
    if (from !== undefined && used.has(from)) from = undefined;
    if (from === undefined) {
      node.insertBefore(make(kid), place);
      continue;
    }
    used.add(from);
    if (nodes[from] === place) place = place.nextSibling;
    else node.insertBefore(nodes[from], place);
    update(nodes[from], was[from], kid);
    while (place && used.has(nodes.indexOf(place))) place = place.nextSibling;
  }
  was.forEach((_, i) => used.has(i) || nodes[i].remove());
}

const shown = new WeakMap();

/** Make `host` hold exactly these children. */
export function show(host, ...kids) {
  const now = flat(kids),
    was = shown.get(host) ?? [];
  children(host, was, now);
  shown.set(host, now);
}

/** Take everything out of `host`, whatever state it is in; the next `show` begins anew. */
export function wipe(host) {
  host.replaceChildren();
  shown.delete(host);
}
