// The board: what was chosen, what came in, and one view of both, drawn at most four times a second.

import * as address from "./address.js";
import { alertsPage } from "./alertpage.js";
import { Asker } from "./ask.js";
import * as bar from "./bar.js";
import { behind } from "./behind.js";
import { boardsPage, limitsOf } from "./boards.js";
import { askReason, help } from "./dialogs.js";
import { h, show, wipe } from "./dom.js";
import { Feed } from "./feed.js";
import * as f from "./forms.js";
import { historyPage } from "./history.js";
import { listen } from "./keys.js";
import * as m from "./model.js";
import { label } from "./say.js";
import * as views from "./views.js";
import { Sound, say } from "./voice.js";
import { LANGS, words } from "./words.js";

const root = document.documentElement,
  app = document.getElementById("app");
const CONFIRM = 10e3,
  SILENT = 4500,
  TURN = 12e3;

/* ── what was chosen: in the link, so that it can be passed on; likings of this screen in its storage ─────────── */

const stored = (name) => {
  try {
    return localStorage.getItem("tidewatch." + name);
  } catch {
    return null;
  }
};
const store = (name, value) => {
  try {
    localStorage.setItem("tidewatch." + name, value);
  } catch {
    /* private window: it lasts as long as the page */
  }
};
const one = (name, allowed, otherwise) => (allowed.includes(stored(name)) ? stored(name) : otherwise);
const liked = () => ({
  lang: one("lang", LANGS, /^zh\b/i.test(navigator.language ?? "") ? "zh" : "en"),
  theme: one("theme", ["dark", "light"], matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark"),
});
let said = new URLSearchParams(location.search);
const first = address.read(location.search, liked());
let ui = { ...first.choice, table: false },
  strange = first.strange;

const link = (change = {}) => {
  const told = new Set([...said.keys(), ...Object.keys(change)]);
  return address.write({ ...ui, ...change }, told);
};
function choose(change) {
  const was = ui,
    to = link(change);
  ui = { ...ui, ...change };
  tenant = m.tenantOf(state, ui.tenant, tenant);
  const goes = address.leads(was, ui);
  history[goes ? "pushState" : "replaceState"](null, "", to);
  if (goes) {
    held = false;
    arrive();
  }
  draw();
}
/** A new place begins at its top, with the focus on its beginning for who does not see. */
function arrive() {
  scrollTo(0, 0);
  requestAnimationFrame(() => document.getElementById("main")?.focus({ preventScroll: true }));
}
const follow = (change) => (event) => {
  if (event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  choose(change);
};
addEventListener("popstate", () => {
  said = new URLSearchParams(location.search);
  const again = address.read(location.search, { lang: ui.lang, theme: ui.theme });
  ui = { ...again.choice, table: ui.table };
  tenant = m.tenantOf(state, ui.tenant, tenant);
  draw();
});

/* ── what came in ────────────────────────────────────────────────────────────────────────────────────────────── */

let state = m.nothing(),
  attempt = 0,
  garbled = false,
  broken = false,
  refused = { no: "signin", role: "norole" }[root.dataset.signed] ?? null;
let resized = 0,
  heard = null,
  elapsedFrom = null,
  wasAt = null,
  tenant = null,
  watched = "",
  notice = "",
  selected = new URLSearchParams(location.search).get("alert"),
  held = false,
  settled = { order: [], since: new Map() },
  settledFor = "",
  turn = 0,
  visible = [];
const pending = new Map(),
  sizes = new Map(),
  opened = new Set(),
  laid = new Set(),
  dimension = new Map(),
  sound = new Sound(),
  started = performance.now(),
  asker = new Asker(() => soon());

const feed = new Feed({
  /** True where the frame could be read. */
  frame(frame) {
    const before = state;
    try {
      state = m.merge(state, frame, limits);
    } catch {
      return false;
    }
    [refused, attempt, garbled] = [null, 0, false];
    heard = performance.now();
    tenant = m.tenantOf(state, ui.tenant, frame.kind === "snapshot" && !before.ready ? null : tenant);
    const at = m.asOf(state, tenant);
    if (at !== wasAt) [wasAt, elapsedFrom] = [at, heard];
    const alive = new Set(state.alerts.map((a) => a.alert));
    for (const id of opened) if (!alive.has(id)) opened.delete(id);
    for (const id of dimension.keys()) if (!alive.has(id)) dimension.delete(id);
    for (const id of [...pending.keys()])
      if (state.alerts.some((a) => a.alert === id && a.state !== "firing")) pending.delete(id);
    if (frame.kind === "snapshot") watched = "";
    announce(before);
    watch();
    soon();
    return true;
  },
  state(next) {
    [attempt, garbled, refused] = [
      next.attempt,
      next.garbled ?? false,
      next.refused ?? (next.attempt > 1 ? refused : null),
    ];
    draw();
  },
});

/** Why the numbers do not pass for the present: the gateway's word, or its silence. */
function staleness() {
  if (!state.ready) return null;
  if (performance.now() - heard > SILENT) return garbled ? "garbage" : "gateway";
  if (state.stale) return state.stale_reason ?? "stream";
  return (state.ingest_lag_ms ?? 0) > 30e3 ? "lag" : null;
}

/** Which keys' history this screen draws. */
function watch() {
  const rows = m.rowsOf(state, tenant, ui.channel),
    names =
      rows.length > views.HUGE
        ? visible.map((id) => state.keys.get(id)?.queue).filter(Boolean)
        : rows.map((k) => k.queue);
  const tide = m.tideKey(state, tenant, ui.queue, ui.channel)?.queue,
    wish = { queues: [...new Set(["*", tide ?? "*", ...names])].sort(), channels: [ui.channel] },
    text = JSON.stringify(wish);
  if (text === watched) return;
  watched = text;
  state = m.watching(state, wish.queues, wish.channels);
  feed.ask({ watch: wish });
}

/** A board of one queue or one channel begins with its numbers. */
let adopted = "";
function adopt(board) {
  if (!board || adopted === board.name) return;
  adopted = board.name;
  const only = (list) => (list?.length === 1 && !list[0].includes("*") ? list[0] : "*");
  const change = {
    queue: ui.queue === "*" ? only(board.queues) : ui.queue,
    channel: ui.channel === "*" ? only(board.channels) : ui.channel,
  };
  if (change.queue !== ui.queue || change.channel !== ui.channel) queueMicrotask(() => choose(change));
}

/** The board that the link names, once it has been read; and its limits, which every key then carries. */
let limits = null,
  limitsFor = "";
function chosenBoard() {
  const answer =
    ui.board && ui.page !== "boards" && state.ready
      ? asker.get("/v1/boards/" + encodeURIComponent(ui.board), 60e3)
      : null;
  const board = answer?.state === "ok" ? answer.data : null,
    text = JSON.stringify(board?.thresholds ?? null);
  if (text !== limitsFor) {
    [limitsFor, limits] = [text, limitsOf(board)];
    state = m.relimited(state, limits);
  }
  adopt(board);
  return { board, trouble: answer?.state === "error" ? answer.error : null };
}

/* ── the page ────────────────────────────────────────────────────────────────────────────────────────────────── */

const viewOf = () => ui.view || (matchMedia("(max-width: 37.5em)").matches ? "phone" : "desk");
/** What a pixel of the design is here; asked of the browser once for a size of the window, a view and a font. */
let units = { of: "", U: 1 };
function unit(view) {
  const of = `${innerWidth}×${innerHeight} ${view} ${ui.size} ${resized}`;
  if (units.of === of) return units.U;
  dress(root, { "data-view": view, "data-size": ui.size });
  units = { of, U: parseFloat(getComputedStyle(root).fontSize) / 16 };
  return units.U;
}

function context() {
  const zh = ui.lang === "zh",
    t = words(ui.lang),
    view = viewOf(),
    at = state.ready ? m.asOf(state, tenant) : null,
    stale = staleness(),
    now = performance.now(),
    U = unit(view);
  const { board, trouble } = chosenBoard(),
    rows = tenant === null ? [] : m.ofBoard(m.rowsOf(state, tenant, ui.channel), board),
    summed = sumFor(board, rows, view),
    server = state.server_time ? Date.parse(state.server_time) + (heard ? now - heard : 0) : null;
  return {
    state,
    ui,
    lang: ui.lang,
    zh,
    t,
    view,
    at,
    tenant,
    stale,
    attempt,
    garbled,
    notice,
    strange,
    pending,
    opened,
    laid,
    dimension,
    selected,
    board,
    trouble,
    U,
    turn,
    many: m.tenants(state).length > 1,
    sound: sound.state,
    zone: m.zoneOf(state, tenant),
    today: server,
    waited: now - started,
    now,
    visible,
    summed,
    key: summed ? summed.sum : tenant === null ? null : m.keyAt(state, tenant, ui.queue, ui.channel),
    rows,
    queues: summed ? rows.map((k) => k.queue) : ui.queue === "*" ? null : [ui.queue],
    tiles: board?.tiles?.length ? board.tiles : null,
    ribbons: board?.rotate?.ribbons?.length ? board.rotate.ribbons : ["queues", "topics", "agents"],
    stopped: m.alertsOf(state, tenant).some((a) => a.severity === "critical" && a.state === "firing"),
    elapsed: stale || elapsedFrom === null ? 0 : Math.min(now - elapsedFrom, SILENT),
    staleFor: at === null || server === null || server - at > 864e5 ? null : Math.max(0, server - at),
    size: (id) => sizes.get(id) ?? { width: guess(id, view), height: 330 * U },
    can: (right) => (state.viewer?.can ?? []).includes(right),
    ask: (url, every) => asker.get(url, every),
    again: (url) => asker.again(url),
    see: (ids) => {
      visible = ids;
    },
    kept,
    link,
    follow,
    choose,
    do: actions,
  };
}
/** What stands for the queues of a board that shows several: their sum, under the board's name. Null: nothing does. */
function sumFor(board, rows, view) {
  if (!m.several(board) || ui.queue !== "*" || (ui.page !== "live" && view !== "tv")) return null;
  return { rows, sum: m.summed(state, rows, board, limits, ui.window), name: board.title?.[ui.lang] || board.name };
}
const guess = (id, view) =>
  view === "tv"
    ? innerWidth * (id === "tide" ? 0.57 : 0.38)
    : view === "phone"
      ? innerWidth - 32
      : id === "tide"
        ? innerWidth - 432
        : innerWidth - 48;

/** The rows that the filter leaves, in the order they stand in. */
function order(c) {
  const name = (k) => label(c, "queue", k.queue),
    left = ui.filter ? c.rows.filter((k) => m.matches(ui.filter, name(k)) || m.matches(ui.filter, k.queue)) : c.rows;
  const wanted = m.sorted(left, ui.sort, ui.window, name).map((k) => k.id),
    why = JSON.stringify([ui.sort, ui.filter, ui.window, ui.channel, tenant, ui.lang, ui.board]);
  settled =
    why === settledFor ? m.settle(settled, wanted, performance.now(), held) : { order: wanted, since: new Map() };
  settledFor = why;
  return settled.order;
}

/** Descriptions made before of the same things: a part that did not change is not even looked at. */
const made = new Map();
function kept(name, of, make) {
  if (made.get(name)?.of !== of) made.set(name, { of, node: make() });
  return made.get(name).node;
}

/** What stands in the middle of the page. */
function body(c) {
  if (refused) return views.door(c, c.t(refused), c.t(refused + "_2"));
  if (!state.ready) return views.loading(c);
  if (c.ui.page === "boards" && c.view !== "tv") return boardsPage(c);
  if (tenant === null) return views.empty(c);
  if (ui.tenant && ui.tenant !== tenant)
    return views.door(
      c,
      c.t("no_tenant", ui.tenant),
      c.t("no_tenant_2"),
      h("a.button", { href: link({ tenant: null }), onclick: follow({ tenant: null }) }, c.t("go_live")),
    );
  if (c.view === "tv" || ui.page === "live")
    return { tv: views.tv, desk: views.desk, phone: views.phone }[c.view](Object.assign(c, { order: order(c) }));
  return { alerts: alertsPage, history: historyPage, behind }[ui.page](c);
}

/** Attributes that differ: one that is written again, though it is the same, has every node's style worked out anew. */
function dress(node, attributes) {
  for (const [name, value] of Object.entries(attributes))
    if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

/** What stands outside the page's own part: its title, the way past the bar. */
function inscribe(c) {
  const name = title(c),
    skip = document.querySelector(".skip");
  if (document.title !== name) document.title = name;
  if (skip.textContent !== c.t("skip")) skip.textContent = c.t("skip");
}

let drawn = 0,
  timer = null,
  due = 0;
function draw() {
  drawn = performance.now();
  clearTimeout(timer);
  cancelAnimationFrame(due);
  timer = null;
  const c = context(),
    was = root.classList.contains("stalled"),
    live = ["live", "alerts"].includes(ui.page) || c.view === "tv";
  dress(root, { "data-theme": ui.theme, "data-view": c.view, "data-size": ui.size, "data-page": ui.page });
  dress(root, { lang: c.zh ? "zh-CN" : "en" });
  root.classList.toggle("stalled", !!c.stale && live);
  inscribe(c);
  if (!document.hidden) {
    paint(c);
    measure();
  }
  if (was !== !!c.stale && live && state.ready)
    say(
      "polite",
      c.stale
        ? c.at === null
          ? c.t("stopped_none")
          : c.t("stopped", f.clock(c.at, c.zone, { seconds: true }))
        : c.t("live_again"),
    );
}

/** Put the page together; what cannot be drawn says so in place of numbers. */
function paint(c) {
  const frame = (middle) =>
    show(
      app,
      bar.top(c, refused),
      refused ? null : bar.banner(c),
      bar.notices(c),
      middle,
      c.view === "phone" && !refused ? bar.tabs(c) : null,
    );
  try {
    frame(body(c));
    broken = false;
  } catch (error) {
    if (!broken) console.error(error);
    broken = true;
    wipe(app);
    show(app, views.door(c, c.t("broken"), c.t("broken_2")));
  }
}

function title(c) {
  const worst =
    tenant === null ? null : m.alertsOf(state, tenant).find((a) => a.state === "firing" && a.severity === "critical");
  return `${c.stale ? "▮▮ " : worst ? "▲ " : ""}${c.key ? `${f.count(c.key.backlog)} ${c.t("backlog")} · ` : ""}Tidewatch`;
}

/** Draw again where a drawing's room is another than it was drawn for. The browser says so once it has laid the page out:
    nobody asks for sizes right after writing, which would have it laid out twice. */
const rooms = new ResizeObserver((entries) => {
  let changed = false;
  for (const { target } of entries) {
    const name = target.dataset.measure,
      width = target.clientWidth,
      height = target.clientHeight,
      known = sizes.get(name);
    if (!name || !width || (known?.width === width && (viewOf() !== "tv" || known.height === height))) continue;
    sizes.set(name, { width, height });
    changed = true;
  }
  if (changed) requestAnimationFrame(draw);
});
const watching = new Set();
function measure() {
  for (const node of watching) if (!node.isConnected) rooms.unobserve(node), watching.delete(node);
  for (const node of document.querySelectorAll("[data-measure]"))
    if (!watching.has(node)) rooms.observe(node), watching.add(node);
}

/** Draw soon: at most four times a second, on a TV once; with the browser's own next frame, where anybody sees it. */
function soon() {
  const pace = viewOf() === "tv" ? 1000 : 250,
    wait = drawn + pace - performance.now();
  timer ??= setTimeout(
    () => {
      if (document.hidden) draw();
      else due = requestAnimationFrame(draw);
    },
    Math.max(0, wait),
  );
}

/* ── what a reader can do ────────────────────────────────────────────────────────────────────────────────────── */

const T = (...of) => words(ui.lang)(...of);
const may = (right) => (state.viewer?.can ?? []).includes(right);
async function carried(wish, undo) {
  const reply = await feed.ask(wish);
  if (!reply.ok) {
    undo?.();
    notice = T("refused", reply.error ?? T("no_answer"));
    say("polite", notice);
  }
  draw();
  return reply;
}
const toggled = (name, a, b) => {
  const next = ui[name] === a ? b : a;
  store(name, next);
  choose({ [name]: next });
};
const current = () => {
  const open = m.alertsOf(state, tenant).filter((a) => a.state !== "resolved");
  return open.find((a) => a.alert === selected) ?? open[0] ?? null;
};
const actions = {
  lang: () => toggled("lang", "zh", "en"),
  theme: () => toggled("theme", "dark", "light"),
  tv: () => choose({ view: ui.view === "tv" ? "" : "tv" }),
  arrivals: () => choose({ arrivals: !ui.arrivals }),
  table: () => choose({ table: !ui.table }),
  window: (window) => choose({ window }),
  page: (page) => choose({ ...address.SURFACE, page }),
  up() {
    const up = address.above(ui);
    if (up) choose(up);
  },
  filter: () => document.getElementById("filter")?.focus(),
  narrow(filter) {
    choose({ filter });
    say("polite", T("found", f.count(settled.order.length), f.count(m.rowsOf(state, tenant, ui.channel).length)));
  },
  queue(name) {
    choose({ queue: ui.queue === name ? "*" : name });
    watch();
  },
  sort(id) {
    const usual = id === "name" ? "-" + id : id;
    choose({ sort: ui.sort !== usual ? usual : usual.startsWith("-") ? id : "-" + id });
  },
  hold: (on) => {
    held = on;
  },
  select(id) {
    if (selected === id) return;
    selected = id;
    soon();
  },
  /** A list was opened or shut; nothing is made of one that is shut. */
  lay(name, open) {
    if (open === laid.has(name)) return;
    if (open) laid.add(name);
    else laid.delete(name);
    draw();
  },
  unfold(id) {
    if (!opened.delete(id)) opened.add(id);
    draw();
  },
  dimension(id, name) {
    dimension.set(id, name);
    draw();
  },
  noBoard: () => choose({ board: null }),
  dismiss() {
    notice = "";
    draw();
  },
  understood() {
    strange = [];
    history.replaceState(null, "", link());
    draw();
  },
  order: (wish) => carried(wish),
  ack(id) {
    pending.set(id, performance.now());
    draw();
    return carried({ ack: id }, () => pending.delete(id));
  },
  silence: (alert) => askReason(context(), alert, carried),
  ackCurrent() {
    const a = current();
    if (a?.state === "firing" && may("ack")) actions.ack(a.alert);
  },
  silenceCurrent() {
    const a = current();
    if (a && may("silence")) actions.silence(a);
  },
  help: () => help(context(), single(), (on) => store("keys", on ? "on" : "off")),
  read() {
    document.getElementById("polite").textContent = "";
    say("polite", spoken(context()), true);
  },
  async sound() {
    const was = sound.state;
    if (was !== "on") await sound.unlock();
    if (was === "on" || (was === "blocked" && sound.state === "blocked")) sound.off();
    store("sound", sound.state === "off" ? "" : "on");
    draw();
  },
};
const single = () => stored("keys") !== "off";

/** What was taken and then never shown as done counts as not done. */
function unconfirmed() {
  for (const [id, at] of pending)
    if (performance.now() - at > CONFIRM) {
      pending.delete(id);
      notice = T("unconfirmed");
    }
}

/** The figures in one sentence. */
function spoken(c) {
  const w = c.key?.windows?.[ui.window],
    criticals =
      tenant === null
        ? 0
        : m.alertsOf(state, tenant).filter((a) => a.severity === "critical" && a.state !== "resolved").length;
  const oldest = c.key?.oldest_ms ?? null;
  return c.t(
    "readout",
    f.count(c.key?.backlog),
    f.span(oldest === null ? null : oldest + c.elapsed, c.zh),
    f.percent(w?.service_level),
    criticals,
  );
}

/** A new critical alert, and its resolving, are said; a new one sounds. */
function announce(before) {
  if (!before.ready || tenant === null) return;
  const was = new Map(before.alerts.map((a) => [a.alert, a])),
    colon = ui.lang === "zh" ? "：" : ": ";
  for (const a of m.alertsOf(state, tenant).filter((x) => x.severity === "critical")) {
    const old = was.get(a.alert),
      name = a.summary?.[ui.lang] ?? a.rule;
    if (!old && a.state === "firing") {
      say("urgent", T("critical") + colon + name);
      sound.play();
    }
    if (old && old.state !== "resolved" && a.state === "resolved") say("urgent", T("resolved") + colon + name);
  }
}

/* ── start ───────────────────────────────────────────────────────────────────────────────────────────────────── */

listen(actions, single);
if (said.has("ticket")) {
  said.delete("ticket");
  history.replaceState(null, "", link());
}
if (stored("sound") === "on") sound.unlock().then(draw);
draw();
if (refused !== "norole") feed.open();
setInterval(() => {
  unconfirmed();
  soon();
  sound.remind(
    tenant !== null &&
      m.alertsOf(state, tenant).some((a) => a.severity === "critical" && a.state === "firing" && !pending.has(a.alert)),
  );
}, 1000);
setInterval(() => {
  if (!root.classList.contains("stalled") && staleness()) soon();
}, 250);
let turned = performance.now();
setInterval(() => {
  const board = asker.known.get("/v1/boards/" + encodeURIComponent(ui.board ?? ""))?.data,
    every = (board?.rotate?.every_s ?? TURN / 1000) * 1000;
  if (!every || performance.now() - turned < every) return;
  turned = performance.now();
  turn += 1;
}, 500);
addEventListener("visibilitychange", draw);
addEventListener("resize", () => {
  resized += 1;
  draw();
});
addEventListener(
  "scroll",
  () => {
    if (state.ready && m.rowsOf(state, tenant, ui.channel).length > views.HUGE) {
      soon();
      scrolled();
    }
  },
  { passive: true },
);
let scrolling = null;
function scrolled() {
  scrolling ??= setTimeout(() => {
    scrolling = null;
    draw();
    watch();
  }, 120);
}
