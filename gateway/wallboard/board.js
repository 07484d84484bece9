// The board: what was chosen, what came in, and one view of both, drawn at most four times a second.

import { h, show } from "./dom.js";
import * as d from "./draw.js";
import * as f from "./forms.js";
import * as m from "./model.js";
import * as p from "./parts.js";
import { Feed } from "./feed.js";
import { LANGS, words } from "./words.js";

const root = document.documentElement, app = document.getElementById("app"), dialogs = document.getElementById("dialogs");
const WINDOWS = ["1m", "5m", "30m", "today"], HUGE = 60, FEW = 12, ROW = 44, CONFIRM = 10e3, SILENT = 4500;

/* ── what was chosen: in the link, so that it can be passed on; likings of this screen in its storage ─────────── */

const stored = (name) => { try { return localStorage.getItem("tidewatch." + name); } catch { return null; } };
const store = (name, value) => { try { localStorage.setItem("tidewatch." + name, value); } catch { /* private window: it lasts as long as the page */ } };
const asked = new URLSearchParams(location.search);
const pick = (name, allowed, otherwise) => [asked.get(name), otherwise].find((x) => allowed.includes(x)) ?? allowed[0];

const ui = {
  lang: pick("lang", LANGS, stored("lang") ?? (/^zh\b/i.test(navigator.language ?? "") ? "zh" : "en")),
  theme: pick("theme", ["dark", "light"], stored("theme") ?? (matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark")),
  view: pick("view", ["", "tv", "desk", "phone"], ""), size: pick("size", ["", "xl"], ""),
  page: pick("page", ["live", "alerts"], "live"), tenant: asked.get("tenant"), queue: asked.get("queue") ?? "*", channel: asked.get("channel") ?? "*",
  window: pick("window", WINDOWS, "30m"), sort: asked.get("sort") ?? "worst", filter: asked.get("filter") ?? "", arrivals: asked.has("arrivals"), table: false,
};
if (!m.SORTS.includes(ui.sort.replace("-", ""))) ui.sort = "worst";
const DEFAULTS = { view: "", size: "", page: "live", tenant: null, queue: "*", channel: "*", window: "30m", sort: "worst", filter: "" };

function link(change = {}) {
  const next = { ...ui, ...change }, q = new URLSearchParams();
  for (const name of ["lang", "theme"]) if (asked.has(name) || change[name]) q.set(name, next[name]);
  for (const [name, usual] of Object.entries(DEFAULTS)) if (next[name] && next[name] !== usual) q.set(name, next[name]);
  if (next.arrivals) q.set("arrivals", "");
  const text = q.toString();
  return "/" + (text ? "?" + text : "");
}
function choose(change) {
  Object.assign(ui, change);
  history.replaceState(null, "", link());
  draw();
}

/* ── what came in ────────────────────────────────────────────────────────────────────────────────────────────── */

let state = m.nothing(), attempt = 0, refused = root.dataset.signed === "no" ? "signin" : root.dataset.signed === "role" ? "norole" : null;
let heard = null, elapsedFrom = null, wasAt = null, tenant = null, watched = "", notice = "", selected = asked.get("alert"), held = false, settled = { order: [], since: new Map() }, settledFor = "", tvPage = 0, soundState = "off", started = performance.now(), lost = null;
const pending = new Map(), sizes = new Map();

const feed = new Feed({
  frame(frame) {
    if (refused || attempt) { refused = null; attempt = 0; }
    const before = state;
    state = m.merge(state, frame);
    heard = performance.now();
    tenant = m.tenantOf(state, ui.tenant, frame.kind === "snapshot" && !before.ready ? null : tenant);
    const at = m.asOf(state, tenant);
    if (at !== wasAt) { wasAt = at; elapsedFrom = heard; }
    for (const id of [...pending.keys()]) if (state.alerts.some((a) => a.alert === id && a.state !== "firing")) pending.delete(id);
    if (frame.kind === "snapshot") watched = "";
    announce(before);
    watch();
    soon();
  },
  state(next) { attempt = next.attempt; refused = next.refused ?? (next.attempt > 1 ? refused : null); lost ??= performance.now(); draw(); },
});

/** Why the numbers do not pass for the present: the gateway's word, or its silence. */
function staleness() {
  if (!state.ready) return null;
  if (performance.now() - heard > SILENT) return "gateway";
  if (state.stale) return state.stale_reason ?? "stream";
  return (state.ingest_lag_ms ?? 0) > 30e3 ? "lag" : null;
}

/** Which keys' history this screen draws. */
function watch() {
  const rows = m.rowsOf(state, tenant, ui.channel), names = rows.length > HUGE ? [...visible] : rows.map((k) => k.queue);
  const tide = m.tideKey(state, tenant, ui.queue, ui.channel)?.queue, wish = { queues: [...new Set(["*", tide ?? "*", ...names])].sort(), channels: [ui.channel] }, text = JSON.stringify(wish);
  if (text === watched) return;
  watched = text;
  state = m.watching(state, wish.queues, wish.channels);
  feed.ask({ watch: wish });
}
let visible = [];

/* ── the page ────────────────────────────────────────────────────────────────────────────────────────────────── */

const viewOf = () => ui.view || (matchMedia("(max-width: 37.5em)").matches ? "phone" : "desk");
const unit = () => parseFloat(getComputedStyle(root).fontSize) / 16;

function context() {
  const zh = ui.lang === "zh", t = words(ui.lang), view = viewOf(), at = state.ready ? m.asOf(state, tenant) : null, stale = staleness(), now = performance.now();
  const server = state.server_time ? Date.parse(state.server_time) + (heard ? now - heard : 0) : null;
  return {
    state, ui, lang: ui.lang, zh, t, view, at, tenant, stale, attempt, notice, pending, selected, many: m.tenants(state).length > 1, sound: soundState,
    zone: m.zoneOf(state, tenant), today: server, key: tenant === null ? null : m.keyAt(state, tenant, ui.queue, ui.channel), U: unit(),
    elapsed: stale || elapsedFrom === null ? 0 : Math.min(now - elapsedFrom, SILENT), staleFor: at === null || server === null || server - at > 864e5 ? null : Math.max(0, server - at),
    size: (id) => sizes.get(id) ?? { width: guess(id, view), height: 330 * unit() }, can: (right) => (state.viewer?.can ?? []).includes(right), kept, link, follow: (change) => (event) => { event.preventDefault(); choose(change); }, do: actions,
  };
}
const guess = (id, view) => (view === "tv" ? innerWidth * (id === "tide" ? 0.57 : 0.38) : view === "phone" ? innerWidth - 32 : id === "tide" ? innerWidth - 432 : innerWidth - 48);

function order(c, rows) {
  const name = (k) => p.label(c, "queue", k.queue), kept = ui.filter ? rows.filter((k) => m.matches(ui.filter, name(k)) || m.matches(ui.filter, k.queue)) : rows;
  const wanted = m.sorted(kept, ui.sort, ui.window, name).map((k) => k.id), why = JSON.stringify([ui.sort, ui.filter, ui.window, ui.channel, tenant, ui.lang]);
  settled = why === settledFor ? m.settle(settled, wanted, performance.now(), held) : { order: wanted, since: new Map() };
  settledFor = why;
  return settled.order;
}

/** Descriptions made before of the same things: a part that did not change is not even looked at. */
const made = new Map();
function kept(name, of, make) {
  if (made.get(name)?.of !== of) made.set(name, { of, node: make() });
  return made.get(name).node;
}

function filters(c, rows) {
  const select = (id, word, all) => {
    const now = ui[id] ?? tenant, options = all.some(([x]) => x === now) ? all : [...all, [now, p.label(c, id, now)]];
    return h("label.filter", { key: id }, h("span.sub", word), h("select", { value: now, "aria-label": word, onchange: (e) => choose({ [id]: e.target.value }) }, options.map(([value, text]) => h("option", { key: value, value, selected: now === value }, text))), d.icon("down"));
  };
  const names = JSON.stringify([ui.lang, ui.queue, rows.map((k) => k.queue), state.labels?.queue]);
  const queues = kept("queues", names, () => select("queue", c.t("queue"), [["*", c.t("all_queues")], ...m.byName(rows, (k) => p.label(c, "queue", k.queue)).map((k) => [k.queue, p.label(c, "queue", k.queue)])]));
  const formula = c.key?.windows?.[ui.window]?.formula_id ?? "tidewatch-1";
  return h("section.filters", { "aria-label": c.t("filters") }, c.many ? select("tenant", c.t("tenant"), m.tenants(state).map((x) => [x, x])) : null,
    queues, select("channel", c.t("channel"), [["*", c.t("all_channels")], ...m.channelsOf(state, tenant).map((x) => [x, p.label(c, "channel", x)])]), select("window", c.t("window"), WINDOWS.map((x) => [x, c.t(x)])),
    h("span.gap"), h("span.sub.wide", c.t("zone", c.zone, formula)));
}

function tablePanel(c, rows, ids) {
  const huge = rows.length > HUGE, high = ROW * c.U, box = document.querySelector("[data-rows]")?.getBoundingClientRect();
  const from = huge ? Math.max(0, Math.min(ids.length - 1, Math.floor(-(box?.top ?? 0) / high) - 4)) : 0, to = huge ? Math.min(ids.length, from + Math.ceil(innerHeight / high) + 8) : ids.length;
  visible = huge ? ids.slice(from, to).map((id) => state.keys.get(id)?.queue).filter(Boolean) : [];
  const first = huge && box ? Math.max(0, Math.floor(-box.top / high)) : 0, last = huge ? Math.min(ids.length, Math.floor((innerHeight - (box?.top ?? innerHeight / 2)) / high)) : ids.length;
  const note = ui.filter ? c.t("found", f.count(ids.length), f.count(rows.length)) : huge ? `${c.t("showing", first + 1, Math.max(first + 1, last), f.count(ids.length))} · ${c.t("scrolls")}` : c.t("all_shown", rows.length);
  return h("section.panel.tablepanel", { key: "table" }, h("div.phead", h("h2", c.t("queue")), h("small.sub", ui.sort === "worst" ? c.t("worst") : h("button.plain", { type: "button", onclick: () => choose({ sort: "worst" }) }, c.t("worst"))), h("input.search", { key: "filter", type: "search", id: "filter", value: ui.filter, placeholder: c.t("filter_ph", rows.length), "aria-label": c.t("filter_queues"), autocomplete: "off", spellcheck: "false", oninput: (e) => choose({ filter: e.target.value }) }), h("span.gap"), h("small.sub", note)), h("div.scrollx", p.table(c, ids, { from, to, total: ids.length, high })));
}

function desk(c) {
  const k = p.tiles(c), rows = m.rowsOf(state, tenant, ui.channel), ids = order(c, rows);
  return h("main.desk", { id: "main", key: "desk" }, filters(c, rows), h("div.kpis", k.backlog, k.oldest, k.frt, k.sl, k.abandon, k.csat),
    h("div.cols", { key: "cols" }, h("div.left", p.tidePanel(c, { height: 268, legend: true, right: 112, big: 38 }), rows.length > HUGE ? p.map(c, rows) : null, tablePanel(c, rows, ids), rows.length <= FEW ? h("div.pair", { key: "pair" }, p.topicsPanel(c), p.agentsPanel(c)) : null),
      h("aside.right", { "aria-label": c.t("alerts") }, h("section.panel.alertsp", p.alertsPanel(c)), rows.length <= FEW ? null : [p.topicsPanel(c), p.agentsPanel(c)])));
}

function tv(c) {
  const k = p.tiles(c), stop = m.alertsOf(state, tenant).some((a) => a.severity === "critical" && a.state === "firing"), page = stop ? 0 : tvPage % 3, xl = ui.size === "xl";
  const rib = ["rib_queues", "rib_topics", "rib_agents"][page];
  return h("main.tv", { id: "main", key: "tv" }, p.tvStrip(c), h("div.tvmain", p.tidePanel(c, { minutes: 90, every: 15, font: 26, left: 66, right: 236, top: 40, stroke: 3.5, dot: 8, big: 92 }), p.backlogPanel(c, { font: 26, bare: xl })),
    h("div.tvkpis", k.frt, k.sl, k.abandon, xl ? null : [k.slots, k.csat]), xl ? null : [p.ribbon(c, page), h("div.pager", h("span", `${c.t(rib)} · ${c.t("page_of", page + 1, 3)}`), h("span.gap"), dots(page), stop ? h("span", c.t("rib_stop")) : null)]);
}
const dots = (page) => h("span.dots", { "aria-hidden": "true" }, [0, 1, 2].map((i) => h("i" + (i === page ? ".on" : ""))));

function phone(c) {
  const k = p.tiles(c), rows = m.rowsOf(state, tenant, ui.channel), ids = order(c, rows);
  return h("main.phone", { id: "main", key: "phone" }, c.many || ui.channel !== "*" || ui.queue !== "*" ? filters(c, rows) : null, h("section.alertsp", { "aria-label": c.t("alerts") }, p.alertsPanel(c)), h("div.kpis", k.backlog, k.oldest, k.frt, k.sl), p.tidePanel(c, { height: 176, left: 30, right: 84, big: 28, every: 60, narrow: true }), p.phoneList(c, ids), p.tools(c));
}

function empty(c) {
  const k = p.tiles(c);
  return h("main.desk", { id: "main", key: "empty" }, h("div.kpis", c.view === "phone" ? [k.backlog, k.oldest, k.frt, k.sl] : [k.backlog, k.oldest, k.frt, k.sl, k.abandon, k.csat]),
    h("section.panel.still", h("div.stilltext", h("h2", c.t("wait_first")), h("p", c.t("wait_first_2")), h("pre", "tidewatch replay FILE --speed 10"), h("p.sub", c.t("wait_first_3"))), h("div.calm", { "aria-hidden": "true" })));
}

function loading(c) {
  const k = p.tiles(c);
  return h("main.desk", { id: "main", key: "loading", "aria-busy": "true" }, h("div.kpis", c.view === "phone" ? [k.backlog, k.oldest, k.frt, k.sl] : [k.backlog, k.oldest, k.frt, k.sl, k.abandon, k.csat]), performance.now() - started > 300 ? h("p.sub", c.t("loading"), attempt ? ` ${c.t("r_gateway")}${c.t("retry_n", attempt)}` : "") : null);
}

const door = (c) => h("main.door", { id: "main", key: "door" }, h("div.stilltext", h("h2", c.t(refused)), h("p", c.t(refused + "_2"))));

function draw() {
  drawn = performance.now();
  clearTimeout(timer);
  timer = null;
  const c = context(), was = root.classList.contains("stalled");
  Object.assign(root.dataset, { theme: ui.theme, view: c.view, size: ui.size });
  root.lang = c.zh ? "zh-CN" : "en";
  root.classList.toggle("stalled", !!c.stale);
  document.title = title(c);
  document.querySelector(".skip").textContent = c.t("skip");
  const body = refused ? door(c) : !state.ready ? loading(c) : tenant === null ? empty(c) : ui.page === "alerts" && c.view !== "tv" ? h("main.desk.alertspage", { id: "main", key: "alerts" }, h("section.panel.alertsp", p.alertsPanel(c, { all: true }))) : { tv, desk, phone }[c.view](c);
  show(app, p.top(c, refused), refused ? null : p.banner(c), p.notice(c), body, c.view === "phone" && !refused ? p.tabs(c) : null);
  if (was !== !!c.stale && state.ready) say("polite", c.stale ? (c.at === null ? c.t("stopped_none") : c.t("stopped", f.clock(c.at, c.zone, { seconds: true }))) : c.t("live_again"));
  measure();
}

function title(c) {
  const worst = tenant === null ? null : m.alertsOf(state, tenant).find((a) => a.state === "firing" && a.severity === "critical");
  return `${c.stale ? "▮▮ " : worst ? "▲ " : ""}${c.key ? `${f.count(c.key.backlog)} ${c.t("backlog")} · ` : ""}Tidewatch`;
}

/** Draw again where a drawing's room is another than it was drawn for. */
function measure() {
  let changed = false;
  for (const node of document.querySelectorAll("[data-measure]")) {
    const width = node.clientWidth, height = node.clientHeight, known = sizes.get(node.dataset.measure);
    if (width && (known?.width !== width || (viewOf() === "tv" && known.height !== height))) { sizes.set(node.dataset.measure, { width, height }); changed = true; }
  }
  if (changed) requestAnimationFrame(draw);
}

let drawn = 0, timer = null;
/** Draw soon: at most four times a second, on a TV once. */
function soon() {
  const pace = viewOf() === "tv" ? 1000 : 250, wait = drawn + pace - performance.now();
  timer ??= setTimeout(draw, Math.max(0, wait));
}

/* ── what a reader can do ────────────────────────────────────────────────────────────────────────────────────── */

const T = (...words_) => words(ui.lang)(...words_);
async function carried(wish, undo) {
  const reply = await feed.ask(wish);
  if (!reply.ok) { undo?.(); notice = T("refused", reply.error ?? T("no_answer")); say("polite", notice); }
  draw();
  return reply.ok;
}
const actions = {
  lang() { store("lang", ui.lang === "zh" ? "en" : "zh"); choose({ lang: ui.lang === "zh" ? "en" : "zh" }); },
  theme() { store("theme", ui.theme === "dark" ? "light" : "dark"); choose({ theme: ui.theme === "dark" ? "light" : "dark" }); },
  tv() { choose({ view: ui.view === "tv" ? "" : "tv" }); },
  arrivals() { choose({ arrivals: !ui.arrivals }); },
  table() { choose({ table: !ui.table }); },
  queue(name) { choose({ queue: ui.queue === name ? "*" : name }); watch(); },
  sort(id) { const usual = ["name"].includes(id) ? "-" + id : id; choose({ sort: ui.sort === usual ? (usual.startsWith("-") ? id : "-" + id) : usual }); },
  hold(on) { held = on; },
  select(id) { if (selected !== id) { selected = id; soon(); } },
  dismiss() { notice = ""; draw(); },
  order(wish) { return carried(wish); },
  ack(id) {
    pending.set(id, performance.now());
    draw();
    return carried({ ack: id }, () => pending.delete(id));
  },
  silence(alert) { ask_reason(alert); },
  help() { help(); },
  async sound() {
    if (soundState !== "off") { soundState = "off"; store("sound", ""); return draw(); }
    store("sound", "on");
    await unlock();
    draw();
  },
};

function dialog(label, ...kids) {
  const was = document.activeElement;
  show(dialogs, h("dialog", { "aria-label": label, onclose: () => { show(dialogs); was?.focus?.(); } }, kids));
  dialogs.firstChild.showModal();
  return dialogs.firstChild;
}

function ask_reason(alert) {
  const c = context(), name = p.label(c, "queue", alert.queue ?? "*");
  const send = async (event) => {
    event.preventDefault();
    const form = new FormData(event.target), match = { tenant: alert.tenant, rule: alert.rule, queue: alert.queue, channel: alert.channel };
    for (const part of Object.keys(match)) if (typeof match[part] !== "string" || match[part] === "") delete match[part];
    box.close();
    await carried({ silence: { match, minutes: Number(form.get("minutes")), reason: String(form.get("reason")).trim() } });
  };
  const box = dialog(c.t("silence_title", name), h("form", { onsubmit: send }, h("h2", c.t("silence_title", name)), h("label", h("span", c.t("reason")), h("input", { name: "reason", required: true, maxlength: 200, autofocus: true, autocomplete: "off", placeholder: c.t("reason_ph") })),
    h("label", h("span", c.t("minutes")), h("select", { name: "minutes" }, [15, 60, 240, 480].map((n) => h("option", { value: n, selected: n === 60 }, n < 60 ? c.t("min", n) : c.t("hour", n / 60))))), h("div.abtns", h("button.primary", { type: "submit" }, c.t("silence_do")), h("button", { type: "button", onclick: () => box.close() }, c.t("cancel")))));
  box.querySelector("input").focus();
}

/** What was taken and then never shown as done counts as not done. */
function unconfirmed() {
  for (const [id, at] of pending) if (performance.now() - at > CONFIRM) { pending.delete(id); notice = T("unconfirmed"); }
}

const single = () => stored("keys") !== "off";
function help() {
  const c = context(), rows = [["/", "k_filter"], ["J K", "k_move"], ["Enter", "k_open"], ["Esc", "k_up"], ["A", "k_ack"], ["S", "k_silence"], ["G L · G A", "k_go"], ["1 2 3 4", "k_window"], ["T", "k_tv"], ["D", "k_theme"], ["E", "k_lang"], ["M", "k_sound"], ["R", "k_read"], ["?", "k_help"]];
  const box = dialog(c.t("keys"), h("h2", c.t("keys")), h("dl.keys", rows.map(([k, id]) => h("div", h("dt", k.split(" ").map((x) => (x === "·" ? " · " : h("kbd", x)))), h("dd", c.t(id))))), h("label.check", h("input", { type: "checkbox", checked: single(), onchange: (e) => store("keys", e.target.checked ? "on" : "off") }), h("span", c.t("single_keys"))), h("div.abtns", h("button", { type: "button", onclick: () => box.close() }, c.t("close"))));
}

/** The alert or row that J and K stand on. */
function move(step) {
  const all = [...document.querySelectorAll("[data-alert], [data-row]")], at = all.indexOf(document.activeElement?.closest?.("[data-alert], [data-row]"));
  const next = all[Math.max(0, Math.min(all.length - 1, at < 0 ? 0 : at + step))];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}
const current = () => { const open = m.alertsOf(state, tenant).filter((a) => a.state !== "resolved"); return open.find((a) => a.alert === selected) ?? open[0] ?? null; };

let go = -1e9;
const KEYS = {
  "/": () => document.getElementById("filter")?.focus(), j: () => move(1), k: () => move(-1), t: actions.tv, d: actions.theme, e: actions.lang, m: () => actions.sound(), "?": help, g: () => { go = performance.now(); },
  a: () => { const a = current(); if (a?.state === "firing" && (state.viewer?.can ?? []).includes("ack")) actions.ack(a.alert); }, s: () => { const a = current(); if (a && (state.viewer?.can ?? []).includes("silence")) ask_reason(a); },
  r: () => read(), 1: () => choose({ window: "1m" }), 2: () => choose({ window: "5m" }), 3: () => choose({ window: "30m" }), 4: () => choose({ window: "today" }),
};
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const field = event.target.closest?.("input, select, textarea, [contenteditable]"), box = dialogs.firstChild;
  if (event.key === "Escape" && !box) {
    if (field) return field.blur();
    return choose(ui.filter ? { filter: "" } : ui.queue !== "*" ? { queue: "*" } : { page: "live" });
  }
  if (field || box) return;
  const name = event.key.toLowerCase();
  if (event.key === "Enter" && event.target.matches?.("[data-row]")) return actions.queue(event.target.dataset.row);
  if (!single() && /^[a-z]$/.test(name)) return;
  if (performance.now() - go < 1500 && ["l", "a"].includes(name)) { go = -1e9; event.preventDefault(); return choose({ page: name === "a" ? "alerts" : "live" }); }
  const act = KEYS[name];
  if (act) { event.preventDefault(); act(); }
});

/* ── what is said and sounded ────────────────────────────────────────────────────────────────────────────────── */

const said = { at: -1e9, timer: null };
/** At most one sentence in 10 s, the newest wins. */
function say(where, sentence, at_once = false) {
  clearTimeout(said.timer);
  const speak = () => { said.at = performance.now(); document.getElementById(where).textContent = sentence; };
  const wait = at_once ? 0 : said.at + 10e3 - performance.now();
  if (wait <= 0) speak(); else said.timer = setTimeout(speak, wait);
}

function read() {
  const c = context(), w = c.key?.windows?.[ui.window], criticals = tenant === null ? 0 : m.alertsOf(state, tenant).filter((a) => a.severity === "critical" && a.state !== "resolved").length;
  document.getElementById("polite").textContent = "";
  say("polite", c.t("readout", f.count(c.key?.backlog), f.span(c.key?.oldest_ms === null || c.key?.oldest_ms === undefined ? null : c.key.oldest_ms + c.elapsed, c.zh), f.percent(w?.service_level), criticals), true);
}

function announce(before) {
  if (!before.ready || tenant === null) return;
  const c = context(), was = new Map(before.alerts.map((a) => [a.alert, a]));
  for (const a of m.alertsOf(state, tenant)) {
    if (a.severity !== "critical") continue;
    const old = was.get(a.alert), name = a.summary?.[c.lang] ?? a.rule;
    if (!old && a.state === "firing") { say("urgent", `${c.t("critical")}${c.zh ? "：" : ": "}${name}`); tones(); }
    if (old && old.state !== "resolved" && a.state === "resolved") say("urgent", `${c.t("resolved")}${c.zh ? "：" : ": "}${name}`);
  }
}

let audio = null, toned = 0;
async function unlock() {
  audio ??= typeof AudioContext === "undefined" ? null : new AudioContext();
  await Promise.race([audio?.resume(), new Promise((done) => setTimeout(done, 300))]).catch(() => {});
  soundState = audio?.state === "running" ? "on" : "blocked";
}
/** Two soft tones, for a new critical alone. */
function tones() {
  if (soundState !== "on") return;
  toned = performance.now();
  [660, 880].forEach((pitch, i) => {
    const tone = audio.createOscillator(), gain = audio.createGain(), at = audio.currentTime + i * 0.35;
    tone.frequency.value = pitch;
    gain.gain.setValueAtTime(0, at);
    gain.gain.linearRampToValueAtTime(0.12, at + 0.04);
    gain.gain.linearRampToValueAtTime(0, at + 0.3);
    tone.connect(gain).connect(audio.destination);
    tone.start(at);
    tone.stop(at + 0.32);
  });
}

/* ── start ───────────────────────────────────────────────────────────────────────────────────────────────────── */

if (asked.has("ticket")) history.replaceState(null, "", link());
if (stored("sound") === "on") unlock().then(draw);
draw();
if (refused !== "norole") feed.open();
setInterval(() => {
  unconfirmed();
  soon();
  if (tenant !== null && performance.now() - toned > 120e3 && toned && m.alertsOf(state, tenant).some((a) => a.severity === "critical" && a.state === "firing" && !pending.has(a.alert))) tones();
}, 1000);
setInterval(() => { if (!root.classList.contains("stalled") && staleness()) draw(); }, 250);
setInterval(() => { tvPage += 1; }, 12e3);
addEventListener("resize", () => { draw(); });
addEventListener("scroll", () => { if (state.ready && m.rowsOf(state, tenant, ui.channel).length > HUGE) { soon(); scrolled(); } }, { passive: true });
let scrolling = null;
function scrolled() { scrolling ??= setTimeout(() => { scrolling = null; draw(); watch(); }, 120); }
