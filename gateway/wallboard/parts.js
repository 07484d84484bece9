// The parts a view is made of. Each is a function of `c`, the page's context: state, words, zone, moment, sizes, actions.

import { h, s } from "./dom.js";
import * as d from "./draw.js";
import * as f from "./forms.js";
import * as m from "./model.js";

const LEVEL = [null, null, "warning", "critical"];
const tone = (n) => ["", "", "tone-warning", "tone-critical"][n];
const cls = (...names) => names.filter(Boolean).join(" ");

export const label = (c, kind, id) => c.state.labels?.[kind]?.[id]?.[c.lang] || (kind === "queue" && id === "*" ? c.t("all_queues") : kind === "channel" && id === "*" ? c.t("all_channels") : id === "other" ? c.t("other") : id);
const dur = (c, ms) => f.span(ms, c.zh);
/** A time; with its date where it is not of the day that the numbers are of. */
const clock = (c, ms, seconds, today = c.at) => f.clock(ms, c.zone, { zh: c.zh, seconds, today });
/** An age that goes on while the page is live, from the moment the numbers are of. */
const aging = (c, ms) => (ms === null || ms === undefined ? null : ms + c.elapsed);
const lasted = (c, a) => Math.max(0, (a.resolved_at ? Date.parse(a.resolved_at) : c.at + c.elapsed) - Date.parse(a.since));

/* ── bar ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

function strip(c) {
  const when = c.at === null ? f.NONE : clock(c, c.at, true, c.today), lagging = c.state.ingest_lag_ms ?? null;
  if (c.stale) return h("div.strip.stalled", d.mark("stale", c.t("stale")), h("span", c.t("as_of") + " ", h("b", when)), c.staleFor === null ? null : h("span", c.t("ago", dur(c, c.staleFor))));
  const p = c.state.partitions ?? { total: 0, behind: 0 }, late = lagging !== null && lagging > 5000;
  return h("div.strip", c.state.ready ? d.mark("live", c.t("live")) : null, h("span", c.t("as_of") + " ", h("b", when)),
    h("span" + (late ? ".late" : ""), late ? d.icon("warning") : null, c.t("lag") + " ", h("b", f.lag(lagging, c.zh))), p.total ? h("span.wide" + (p.behind ? ".late" : ""), p.behind ? d.icon("warning") : null, c.t("partitions") + " ", h("b", `${p.total - p.behind}/${p.total}`)) : null);
}

export function tools(c) {
  const tool = (name, title, text, act, pressed) => h("button.tool", { key: name, type: "button", "aria-label": title, title, "aria-pressed": pressed ?? null, onclick: act }, text);
  const sound = c.sound === "on" ? "sound_on" : c.sound === "blocked" ? "sound_blocked" : "sound_off";
  return h("div.tools", tool("sound", c.t("sound_label"), c.t(sound), c.do.sound, String(c.sound === "on")), tool("lang", c.t("lang_label"), c.zh ? "EN" : "中", c.do.lang), tool("theme", c.t("theme_label"), c.t(c.ui.theme === "dark" ? "light" : "dark"), c.do.theme), tool("keys", c.t("keys"), "?", c.do.help));
}

const PAGES = ["live", "alerts"];
function nav(c, spec) {
  const open = m.alertsOf(c.state, c.tenant).filter((a) => a.state !== "resolved" && a.severity !== "info").length;
  return h(spec, { "aria-label": c.t("pages") }, PAGES.map((page) => h("a" + (c.ui.page === page ? ".on" : ""), { key: page, href: c.link({ page }), "aria-current": c.ui.page === page ? "page" : null, onclick: c.follow({ page }) }, c.t("nav_" + page), spec === "nav.tabs" && page === "alerts" && open ? h("span.badge", open) : null)));
}
export const tabs = (c) => nav(c, "nav.tabs");

export function top(c, shut) {
  const scope = [c.many ? c.tenant : null, label(c, "queue", c.ui.queue), label(c, "channel", c.ui.channel)].filter(Boolean).join(" · ");
  return h("header.top", d.wordmark(), c.view === "tv" ? h("span.scope", scope) : shut ? null : nav(c, "nav.nav"), h("span.gap"), shut ? null : strip(c), c.view === "tv" ? null : tools(c));
}

/** Since when and why the numbers stand still. */
export function banner(c) {
  if (!c.stale) return null;
  const why = c.stale === "lag" ? c.t("r_lag", f.lag(c.state.ingest_lag_ms, c.zh)) : c.t("r_" + c.stale);
  return h("div.banner", d.icon("stale"), h("b", c.at === null ? c.t("stopped_none") : c.t("stopped", clock(c, c.at, true)) + (c.staleFor === null ? "" : c.t("stopped_since", dur(c, c.staleFor)))),
    h("span", why, c.attempt > 0 ? c.t("retry_n", c.attempt) : c.t("stop") + (c.zh ? "" : " "), c.at === null ? null : c.t("last_known")));
}

/** What could not be done, in words. */
export const notice = (c) => (c.notice ? h("div.banner.notice", d.icon("error"), h("span", c.notice), h("span.gap"), h("button.tool", { type: "button", onclick: c.do.dismiss }, c.t("close"))) : null);

/* ── figures ─────────────────────────────────────────────────────────────────────────────────────────────────── */

function value(pieces, o = {}) {
  if (o.loading) return s("svg", { class: "bone", viewBox: "0 0 80 30", "aria-hidden": "true" }, s("rect", { width: 80, height: 30 }));
  if (!pieces) return h("span.none", f.NONE);
  return pieces.map(([n, u]) => [h("span" + (o.provisional ? ".prov" : "") + ".n", n), u ? h("span.u", u) : null]);
}
const whole = (text) => (text === f.NONE ? null : text.endsWith("%") ? [[text.slice(0, -1), "%"]] : [[text, null]]);

function tile(c, o) {
  return h("section.tile" + (o.tone ? "." + o.tone : ""), { key: o.key, "aria-label": o.label, tabindex: c.view === "tv" ? null : "0", title: o.title ?? null },
    h("div.label", h("span", o.label), o.mark ?? null), h("div.value" + ((o.pieces ?? []).length > 1 || String(o.pieces?.[0]?.[0] ?? "").length > 6 ? ".long" : ""), { "data-of": o.key }, o.lead ? h("span.lead", o.lead) : null, value(o.pieces, { provisional: o.provisional, loading: !c.state.ready })), o.gauge ?? d.gauge(null, null), h("div.subs", (c.state.ready ? o.subs : []).filter(Boolean).map((x) => (typeof x === "string" ? h("span", x) : x))));
}

/** A level's shape and word: `▲ over 80`. */
function crossed(c, key, metric, n, write, more = "above") {
  if (n < 2) return null;
  const edge = m.edge(key, metric, n);
  return d.mark(LEVEL[n], edge ? c.t(edge.low ? "below" : more, write(edge.value)) : c.t(LEVEL[n]));
}
/** A figure against its limit; where there is no limit there is no scale, so nothing is filled. */
function against(key, metric, x, mark, n) {
  const far = m.edge(key, metric, 3)?.value ?? mark;
  return far === null || far === undefined ? d.gauge(null, null) : d.gauge(x, mark, { max: Math.max(far * 1.5, x ?? 0), tone: tone(n) });
}

export function tiles(c) {
  const key = c.key, g = m.figures(key, c.ui.window), w = g.window, tv = c.view === "tv", n = (x) => "n " + f.count(x ?? 0, c.zh), T = f.round(key?.targets?.target_ms, c.zh), say = (lv, text) => h("span" + (lv > 1 ? ".tword" : ""), text);
  const oldest = aging(c, g.oldest.value), olev = m.level(key, "oldest_ms", oldest), where = c.ui.queue === "*" ? worstWaiter(c) : null, ack = where && m.alertsOf(c.state, c.tenant).find((a) => a.queue === where.queue && a.state === "acknowledged");
  const st = m.staff(c.state, c.tenant, c.ui.queue), starved = st.free === 0 && (g.unassigned.value ?? 0) > 0, none = key ? c.t("no_cases") : c.t("no_data");
  const sub = (x) => (w && x ? null : none), change = restatedOf(c, key), target = key?.targets?.service_level ?? null;
  return {
    backlog: tile(c, { key: "backlog", label: c.t("backlog"), pieces: key ? [[f.count(g.backlog.value, c.zh, tv), null]] : null, gauge: against(key, "backlog", g.backlog.value, m.edge(key, "backlog", 3)?.value, g.backlog.level), tone: tone(g.backlog.level), mark: crossed(c, key, "backlog", g.backlog.level, (x) => f.count(x)), subs: key ? [`${c.t("over_t", T)} ${f.count(key.over_target)}`, `${c.t("unassigned")} ${f.count(key.unassigned)}`] : [c.t("no_data")], title: key ? (key.drain_s === null || key.drain_s === undefined ? (key.backlog ? c.t("drain_none") : null) : c.t("drain", dur(c, key.drain_s * 1000))) : null }),
    oldest: tile(c, { key: "oldest", label: c.t("oldest"), pieces: f.parts(oldest, c.zh), gauge: against(key, "oldest_ms", oldest, m.edge(key, "oldest_ms", 2)?.value, olev), tone: tone(olev), mark: crossed(c, key, "oldest_ms", olev, (x) => f.round(x, c.zh), "over"), subs: key ? [where ? label(c, "queue", where.queue) : null, ack ? c.t("acknowledged") : null, oldest === null ? c.t("waiting_for") + " 0" : null] : [c.t("no_data")] }),
    frt: tile(c, { key: "frt", label: c.t("frt90"), lead: w?.frt_p90_km_censored && g.frt.value !== null ? c.t("over", "").trim() : null, pieces: f.parts(g.frt.value, c.zh), gauge: against(key, "frt_p90_km_ms", g.frt.value, key?.targets?.target_ms, g.frt.level), tone: tone(g.frt.level), mark: g.frt.level > 1 ? d.mark(LEVEL[g.frt.level], `${c.t("target")} ${T}`) : null, title: w ? `${c.t("p50")} ${w.frt_p50_km_censored ? c.t("over", dur(c, w.frt_p50_km_ms)) : dur(c, w.frt_p50_km_ms)}. ${c.t("km_why")}` : null,
      subs: sub(w?.frt_km_n) ? [none, n(0)] : tv ? [say(g.frt.level, `${c.t("target")} ${T}`), n(w.frt_km_n), `${c.t("plain")} ${dur(c, w.frt_p90_ms)}`] : [`${c.t("plain")} ${dur(c, w.frt_p90_ms)}`, n(w.frt_km_n)] }),
    sl: tile(c, { key: "sl", label: c.t("sl"), pieces: whole(f.percent(g.sl.value)), provisional: w?.provisional && g.sl.value !== null, gauge: d.gauge(g.sl.value, target, { tone: tone(g.sl.level) }), tone: tone(g.sl.level), mark: g.sl.level > 1 ? d.mark(LEVEL[g.sl.level], c.t("below_target")) : change ? d.mark("restated", "", change) : null, title: w ? [`${c.t("connect")} ${f.percent(w.connect)}`, `${c.t("plain")} ${f.percent(w.answered_only)}`, change].filter(Boolean).join(" · ") : null,
      subs: [tv && g.sl.level > 1 ? say(g.sl.level, c.t("below", f.limit(target))) : `${c.t("target")} ${f.limit(target)}`, n(m.judged(w)), w?.provisional ? h("span", { title: c.t("prov_long", w.undecided) }, d.icon("provisional"), tv ? ` ${f.count(w.undecided)} ${c.t("undecided")}` : ` ${c.t("provisional")} ${f.count(w.undecided)}`) : null, w && g.sl.value === null && !tv ? none : null] }),
    abandon: tile(c, { key: "abandon", label: c.t("abandon"), pieces: whole(f.percent(g.abandon.value)), gauge: against(key, "abandon_rate", g.abandon.value, m.edge(key, "abandon_rate", 2)?.value, g.abandon.level), tone: tone(g.abandon.level), mark: crossed(c, key, "abandon_rate", g.abandon.level, f.limit), subs: [m.edge(key, "abandon_rate", 2) ? `${c.t("limit")} ${f.limit(m.edge(key, "abandon_rate", 2).value)}` : null, n(m.left(w)), w && g.abandon.value === null && !tv ? none : null], title: w ? c.t("short_left", f.count(w.short_abandoned)) : null }),
    csat: csat(c, w, n),
    slots: tile(c, { key: "slots", label: c.t("slots"), pieces: st.free === null ? null : [[f.count(st.free, c.zh, tv), null]], gauge: d.gauge(st.free, null, { max: st.capacity, tone: starved ? "tone-warning" : "" }), tone: starved ? "tone-warning" : "", mark: starved ? d.mark("warning", c.t("nobody_free")) : null, subs: st.agents.length ? [`${c.t("online")} ${st.by.online}`, `${c.t("busy")} ${st.by.busy}`, tv && st.unknown ? null : `${c.t("away")} ${st.by.away}`, st.unknown ? c.t("unknown_n", st.unknown) : null] : [c.t("no_agents")] }),
  };
}

function csat(c, w, n) {
  const few = w && w.ratings > 0 && w.ratings < 5;
  return tile(c, { key: "csat", label: c.t("csat"), pieces: few ? null : whole(f.percent(w?.csat ?? null, 0)), gauge: d.gauge(few ? null : w?.csat, null), subs: few ? [c.t("too_few", w.ratings)] : [n(w?.ratings), w && w.csat_low !== null && w.csat_low !== undefined ? c.t("ci", Math.floor(w.csat_low * 100), Math.ceil(w.csat_high * 100) + "%") : null, w && !w.ratings && c.view !== "tv" ? c.t("no_cases") : null] });
}

function worstWaiter(c) {
  const most = c.key?.oldest_ms;
  return most === null || most === undefined ? null : m.rowsOf(c.state, c.tenant, c.ui.channel).find((k) => k.oldest_ms === most) ?? null;
}

function restatedOf(c, key) {
  const last = (key?.restated ?? []).filter((r) => r.field === "service_level").pop();
  return last ? c.t("restated_line", clock(c, m.time(last.minute)), f.percent(last.old), f.percent(last.new)) : null;
}

/* ── the tide and the backlog ────────────────────────────────────────────────────────────────────────────────── */

/** A volume's state in one mark: surge, lull, learning; and nothing at all where all is as usual. */
function volumeMark(c, v, short) {
  if (!v) return null;
  const since = v.since ? dur(c, Math.max(0, c.at + c.elapsed - Date.parse(v.since))) : "";
  if (v.surge) return d.mark("critical", short ? c.t("surge") : `${c.t("surge")} ${since}`);
  if (v.lull) return d.mark("warning", short ? c.t("lull") : `${c.t("lull")} ${since}`);
  if (v.learning) return d.mark("learning", short && !v.learned_days ? c.t("learning") : v.expected === null || v.expected === undefined ? c.t("learn_none") : c.t(short ? "learn_day" : "learn_long", v.learned_days ?? 0));
  return null;
}

export function tidePanel(c, o) {
  const key = m.tideKey(c.state, c.tenant, c.ui.queue, c.ui.channel), v = key?.volume ?? {}, name = label(c, "queue", key?.queue ?? "*"), data = m.flowing(m.panes(key, c.at, o.minutes), key, c.at), size = c.size("tide");
  const odd = v.surge || v.lull, state = v.surge ? c.t("surge") : v.lull ? c.t("lull") : v.expected === null || v.expected === undefined ? c.t("unknown_range") : c.t("normal");
  const since = odd && v.since ? Date.parse(v.since) : null, spoken = c.t("tide_label", name, f.rate(v.rate_per_min), f.rate(v.expected), state);
  const legend = [["lg-seen", "l_seen", true], ["lg-usual", "l_usual", v.expected !== null && v.expected !== undefined], ["lg-band", "range", v.low !== null && v.low !== undefined], ["lg-over", "l_over", v.surge], ["lg-arr", "l_arrivals", c.ui.arrivals]];
  const drawing = d.tide(data, { height: size.height / c.U, ...o, U: c.U, width: size.width, t: c.t, zh: c.zh, zone: c.zone, label: spoken, over: v.surge, since, sinceText: since ? `${v.surge ? c.t("surge") : c.t("lull")} ${c.t("since", clock(c, since))}` : null, restated: (key?.restated ?? []).filter((r) => r.field === "customer_messages").map((r) => ({ ...r, minute: m.time(r.minute) })), value: v.rate_per_min, expected: v.expected, low: v.low, high: v.high, learning: v.learning, arrivals: c.ui.arrivals });
  const silent = key && !odd && !v.learning && (v.expected === null || v.expected === undefined) ? h("span.sub", c.t("unknown_range")) : null;
  return h("section.panel.tidepanel", h("div.phead", h("h2", `${name} · ${c.t("messages_min")}`, h("small", ` ${c.t("per_min")}`)), volumeMark(c, v, c.view === "tv" && !odd), silent, h("span.gap"),
    o.legend ? h("ul.legend", legend.filter(([, , on]) => on).map(([k, id]) => h("li", { key: id }, h("i." + k), c.t(id)))) : null,
    o.legend ? [h("button.plain", { key: "arr", type: "button", "aria-pressed": String(!!c.ui.arrivals), onclick: c.do.arrivals }, c.t("l_arrivals")), h("button.plain", { key: "tab", type: "button", "aria-pressed": String(!!c.ui.table), onclick: c.do.table }, c.t(c.ui.table ? "chart" : "table"))] : null),
    planned(c), h("div.draw", { key: "tide", "data-measure": "tide" }, c.ui.table && o.legend ? paneTable(c, m.panes(key, c.at)) : c.state.ready ? drawing : null));
}

function planned(c) {
  const all = c.state.events.filter((e) => e.tenant === c.tenant);
  return all.length && c.view !== "tv" ? h("p.sub.planned", all.slice(0, 3).map((e) => h("span", c.t("event", e.name, clock(c, Date.parse(e.from)), clock(c, Date.parse(e.to)), f.rate(e.factor))))) : null;
}

function paneTable(c, data) {
  const heads = [c.t("time"), c.t("messages_min"), c.t("l_arrivals"), c.t("usual"), c.t("range")];
  return h("div.panes", { tabindex: "0", role: "region", "aria-label": c.t("table") }, h("table", h("thead", h("tr", heads.map((x) => h("th", { scope: "col" }, x)))), h("tbody", [...data].reverse().map((p) => h("tr", { key: p.t }, h("th", { scope: "row" }, clock(c, p.t)), [f.rate(p.v), f.rate(p.a), f.rate(p.e), p.lo === null ? f.NONE : `${f.rate(p.lo)}–${f.rate(p.hi)}`].map((x) => h("td", x)))))));
}

export function backlogPanel(c, o) {
  const key = c.key, g = m.figures(key, c.ui.window), oldest = aging(c, g.oldest.value), T = f.round(key?.targets?.target_ms, c.zh), facts = [[c.t("oldest"), dur(c, oldest), m.level(key, "oldest_ms", oldest)], [c.t("over_t", T), f.count(key?.over_target), 0], [c.t("unassigned"), f.count(key?.unassigned), g.unassigned.level]];
  return h("section.panel.backlog", h("div.phead", h("h2", c.t("backlog")), h("small.sub", c.t("waiting_for")), h("span.gap"), crossed(c, key, "backlog", g.backlog.level, (x) => f.count(x))),
    h("div.brow", h("div.value" + (g.backlog.level > 1 ? "." + tone(g.backlog.level) : ""), { "data-of": "backlog" }, value(key ? [[f.count(g.backlog.value, c.zh, true), null]] : null, { loading: !c.state.ready })), h("dl.facts", facts.map(([a, b, n]) => h("div" + (n > 1 ? "." + tone(n) : ""), { key: a }, h("dt", a), h("dd", n > 1 ? d.icon(LEVEL[n]) : null, b))))),
    o.bare ? null : h("div.draw", { key: "ages", "data-measure": "ages" }, d.ages(key?.ages ?? [0, 0, 0, 0, 0, 0], { height: c.size("ages").height / c.U, ...o, U: c.U, width: c.size("ages").width, zh: c.zh, t: c.t })));
}

/* ── alerts ──────────────────────────────────────────────────────────────────────────────────────────────────── */

const inUnit = (c, unit, x) => (x === null || x === undefined ? f.NONE : unit === "ms" ? dur(c, x) : unit === "s" ? dur(c, x * 1000) : unit === "ratio" ? f.percent(x) : unit === "per_min" ? `${f.rate(x)} ${c.t("per_min")}` : f.rate(x));
const title = (c, a) => (m.volumeKind(a) ? [c.t(m.volumeKind(a)), a.queue === "*" && a.channel !== "*" ? null : label(c, "queue", a.queue), a.channel === "*" ? null : label(c, "channel", a.channel)].filter(Boolean).join(" · ") : a.summary?.[c.lang] || `${a.rule} · ${label(c, "queue", a.queue)}`);
const safe = (url) => (/^https?:\/\//i.test(url ?? "") ? url : null);

/** An alert as the page shows it: what was just asked for counts at once, until the gateway says otherwise. */
const seen = (c, a) => (c.pending.has(a.alert) && a.state === "firing" ? { ...a, state: "acknowledged", acknowledged_by: c.t("mine") } : a);

export function alertsPanel(c, o = {}) {
  const all = m.alertsOf(c.state, c.tenant).map((a) => seen(c, a)), open = all.filter((a) => a.state !== "resolved"), most = o.all ? Infinity : 5, quiet = (a) => Number(m.silenceOf(c.state, a, c.at ?? 0) !== null), own = (o.all ? [...open] : open.filter((a) => !a.inhibited_by)).sort((a, b) => quiet(a) - quiet(b)), cards = own.slice(0, most), rest = open.filter((a) => !cards.includes(a)), same = rest.length > 0 && rest.every((a) => a.inhibited_by || (a.group && a.group === cards[0]?.group));
  return [h("div.phead", h("h2", c.t("alerts")), h("span.gap"), h("small.sub", c.t("alerts_sub", open.length, all.length - open.length))),
    !all.length ? h("p.sub", c.t("no_alerts")) : null, cards.map((a) => card(c, a)), rest.length ? h("p.sub.folded", { key: "rest" }, h("a", { href: c.link({ page: "alerts" }), onclick: c.follow({ page: "alerts" }) }, c.t(same ? "more_same" : "more", rest.length))) : null, (c.view === "phone" && !o.all ? [] : all.filter((a) => a.state === "resolved").slice(0, most)).map((a) => card(c, a))];
}

function card(c, a) {
  const silence = a.state === "resolved" ? null : m.silenceOf(c.state, a, c.at ?? 0), folded = a.state !== "firing" || silence || a.severity === "info", state = silence ? c.t("silenced", silence.until ? clock(c, m.time(silence.until)) : f.NONE, silence.reason ? `${silence.by ?? ""}${c.zh ? "：" : ": "}${silence.reason}` : silence.by ?? "") : a.state === "acknowledged" ? `${c.t("acknowledged")} · ${a.acknowledged_by ?? ""}` : a.state === "firing" ? c.t("firing") : "";
  const times = a.state === "resolved" ? `${clock(c, Date.parse(a.since))}–${clock(c, Date.parse(a.resolved_at ?? a.at))} · ${dur(c, lasted(c, a))}` : `${clock(c, Date.parse(a.since))} · ${dur(c, lasted(c, a))}`;
  const shape = a.state === "resolved" ? "ok" : silence ? "silenced" : a.severity, on = c.selected === a.alert;
  const head = h("div.ahead", d.mark(shape, a.state === "resolved" ? c.t("resolved") : c.t(a.severity)), h("span.astate", state), h("span.gap"), h("time", { datetime: a.since }, times));
  return h("article.alert.sev-" + (a.state === "resolved" || silence ? "quiet" : a.severity) + (folded ? ".quietcard" : "") + (on ? ".chosen" : ""), { key: a.alert, "data-alert": a.alert, tabindex: "0", "aria-label": `${c.t(a.severity)} ${title(c, a)}`, onfocus: () => c.do.select(a.alert) },
    head, folded ? h("p.asum", short(c, a)) : whole_card(c, a), folded ? grade(c, a) : null, silence?.id && c.can("silence") ? h("div.abtns", h("button", { type: "button", onclick: () => c.do.order({ unsilence: silence.id }) }, c.t("unsilence"))) : null);
}

function short(c, a) {
  const worst = a.peak !== null && a.peak !== undefined && a.peak !== a.value ? ` · ${c.t(a.low !== null && a.low !== undefined && (a.high === null || a.high === undefined) ? "lowest" : "peak")} ${inUnit(c, a.unit, a.peak)}` : "";
  const said = !m.volumeKind(a) && a.summary?.[c.lang] ? "" : ` · ${inUnit(c, a.unit, a.value)}`;
  const cause = a.state === "resolved" ? (a.drivers ?? []).filter((x) => x.dimension === "topic" && x.value !== "other").slice(0, 1).map((x) => ` · ${label(c, "topic", x.value)}`) : [];
  return [title(c, a), said, worst, cause];
}

function whole_card(c, a) {
  const volume = m.volumeKind(a), ratio = volume && a.expected ? a.value / a.expected : null, dims = ["topic", "queue", "segment", "channel"].filter((x) => (a.drivers ?? []).some((y) => y.dimension === x)), first = dims.find((x) => x !== "channel") ?? dims[0], i = a.impact ?? {};
  return [
    h("h3", title(c, a)),
    volume ? h("p.afig", h("b", f.rate(a.value)), h("span", ` ${c.t("per_min")}${ratio ? (c.zh ? "，" : ", ") + f.times(ratio, c.zh) : ""}`), a.expected === null || a.expected === undefined ? null : h("span.afaint", `${c.t("usual")} ${f.rate(a.expected)}${a.low === null || a.low === undefined ? "" : `${c.zh ? "，" : ", "}${c.t("range")} ${f.rate(a.low)}–${f.rate(a.high)}`}`)) : h("p.afig", h("b", inUnit(c, a.unit, a.value)), a.peak !== null && a.peak !== undefined ? h("span.afaint", `${c.t("peak")} ${inUnit(c, a.unit, a.peak)}`) : null),
    first ? [h("h4", c.t("why")), drivers(c, a, first), dims.includes("channel") && first !== "channel" ? h("p.achan", a.drivers.filter((x) => x.dimension === "channel").map((x) => h("span", { key: x.value }, `${label(c, "channel", x.value) === "other" ? c.t("other") : label(c, "channel", x.value)} ${f.signed(Math.round(x.excess))}`))) : null] : null,
    c.view !== "phone" && (a.keywords ?? []).length ? h("p.akeys", a.keywords.slice(0, 8).map((x) => h("span.chip", { key: x }, x))) : null,
    (a.samples ?? []).length ? h("blockquote", c.zh ? `“${a.samples[0]}”` : `“${a.samples[0]}”`) : null,
    h("h4", c.t("impact")), h("dl.impact", [[c.t("backlog"), f.count(i.backlog)], [c.t("oldest"), dur(c, i.oldest_ms)], [c.t("frt90"), dur(c, i.frt_p90_ms)]].map(([k, x]) => h("div", { key: k }, h("dt", k), h("dd", x)))),
    advice(c, i), buttons(c, a)];
}

function drivers(c, a, dimension) {
  const list = a.drivers.filter((x) => x.dimension === dimension), rows = [...list.filter((x) => x.value !== "other"), ...list.filter((x) => x.value === "other")], most = Math.max(1e-9, ...list.map((x) => Math.abs(x.excess)));
  const sums = m.addUp(rows.map((x) => x.excess));
  return h("ul.drivers", rows.map((x, i) => h("li", { key: x.value }, h("span.dname", { title: label(c, dimension, x.value) }, x.value === "other" ? c.t("other") : label(c, dimension, x.value)), d.bar(Math.abs(x.excess) / most, true), h("span.dnum", f.signed(sums.parts[i])), h("span.dshare", f.percent(x.share, 0)))),
    h("li.total", { key: "\u0000total" }, h("span.dname", c.t("total_excess")), h("span.dbar"), h("span.dnum", f.signed(sums.total)), h("span.dshare", c.t("per_min"))));
}

/** How many people it takes, and what happens with and without them, in one sentence. */
function advice(c, i) {
  if (i.agents_needed === null || i.agents_needed === undefined) return null;
  if (!i.agents_needed) return [h("h4", c.t("todo")), h("p.ado", h("b", c.t("need_none")), c.t("stop"))];
  const plus = Object.entries(i.drain_plus ?? {}).filter(([, sec]) => sec !== null).sort((a, b) => a[0] - b[0])[0], alone = i.drain_s === null || i.drain_s === undefined ? (i.drain_plus ? c.t("with_none") : "") : c.t("alone", f.about(i.drain_s * 1000, c.zh));
  return [h("h4", c.t("todo")), h("p.ado", h("b", c.t("need", f.count(i.agents_needed))), c.t("back_on"), plus ? c.t("with_n", plus[0], f.about(plus[1] * 1000, c.zh)) : "", alone, c.t("stop"))];
}

function buttons(c, a) {
  const url = safe(a.runbook);
  if (!c.can("ack") && !c.can("silence") && !url) return null;
  return h("div.abtns", c.can("ack") && a.state === "firing" ? h("button.primary", { key: "ack", type: "button", "data-do": "ack", onclick: () => c.do.ack(a.alert) }, c.t("ack")) : null, c.can("silence") ? h("button", { key: "sil", type: "button", "data-do": "silence", onclick: () => c.do.silence(a) }, c.t("silence")) : null, url ? h("a", { key: "run", href: url, rel: "noreferrer noopener", target: "_blank" }, c.t("runbook")) : null);
}

function grade(c, a) {
  if (!c.can("ack") || a.state !== "resolved") return null;
  if (a.grade) return h("p.sub", `${c.t("graded")} · ${c.t(a.grade)}`);
  return h("p.sub.grade", c.t("was_it"), ["useful", "noise"].map((as) => h("button.plain", { key: as, type: "button", onclick: () => c.do.order({ grade: a.alert, as }) }, c.t(as))));
}

/** The one strip of the TV: the worst that is open; or, quietly, what was last. */
export function tvStrip(c) {
  const all = m.alertsOf(c.state, c.tenant).map((a) => seen(c, a)), open = all.filter((a) => a.state !== "resolved" && a.severity !== "info" && !a.inhibited_by && !m.silenceOf(c.state, a, c.at ?? 0)), a = open[0], sep = c.zh ? "，" : ", ";
  if (!a) {
    const last = all.find((x) => x.state === "resolved");
    return h("div.tvquiet", { key: "quiet" }, d.icon("ok"), h("span", c.t("no_alerts")), last ? h("span.faint", `${c.t("last_alert")}${c.zh ? "：" : ": "}${title(c, last)} ${clock(c, Date.parse(last.since))}–${clock(c, Date.parse(last.resolved_at ?? last.at))}`) : null);
  }
  const volume = m.volumeKind(a), causes = (a.drivers ?? []).filter((x) => x.dimension === (["topic", "queue", "segment", "channel"].find((y) => a.drivers.some((z) => z.dimension === y)))).map((x) => `${label(c, x.dimension, x.value)} ${f.signed(Math.round(x.excess))}`), need = a.impact?.agents_needed;
  return h("div.tvalert.tv-" + a.severity, { key: a.alert, role: "group" },
    h("div.tva1", d.icon(a.severity), h("b", volume ? `${c.t(a.severity)} · ${c.t(volume)}` : c.t(a.severity)), h("b.tvq", volume ? label(c, "queue", a.queue) : title(c, a)), h("span.tvv", volume ? `${f.rate(a.value)} ${c.t("per_min")}${a.expected ? sep + f.times(a.value / a.expected, c.zh) : ""}` : ""), h("span.gap"), h("span", `${c.t("lasting")} ${dur(c, lasted(c, a))}`)),
    h("div.tva2", h("span.tvv", causes.length ? `${c.t("cause")}${c.zh ? "：" : ": "}${causes.join(sep)}` : open.length > 1 ? c.t("more", open.length - 1) : ""), h("span.gap"), h("span", [need ? c.t("need", need) : null, a.state === "firing" ? c.t("firing") : `${c.t("acknowledged")} ${a.acknowledged_by ?? ""}`].filter(Boolean).join(" · "))));
}

/** Three hours of a queue; drawn anew once a minute, or when something in it changed. */
function little(c, k, width, height) {
  if (!k.series) return d.spark([], false, width, height);
  const of = `${Math.floor(c.at / 60e3)} ${Math.round(k.volume?.rate_per_min ?? -1)} ${k.volume?.surge} ${width}`;
  if (k.series.drawn?.of !== of) k.series.drawn = { of, node: d.spark(m.flowing(m.panes(k, c.at), k, c.at), k.volume?.surge, width, height) };
  return k.series.drawn.node;
}

/* ── the table ───────────────────────────────────────────────────────────────────────────────────────────────── */

function cell(c, k, metric, raw, text, n) {
  const lv = m.level(k, metric, raw, n ?? null);
  return { lv, node: (extra, before) => h("td.num" + (lv ? ".heat" + lv : ""), h("span.cell", before ?? null, lv > 1 ? [d.icon(LEVEL[lv]), h("span.quiet", c.t(LEVEL[lv]))] : null, h("span", text)), extra ?? null) };
}

function row(c, k, o, i) {
  const w = k.windows?.[c.ui.window], v = k.volume ?? {}, hot = v.surge, oldest = aging(c, k.oldest_ms), km = w?.frt_p90_km_ms, name = label(c, "queue", k.queue);
  const simple = (metric, raw, text, n) => cell(c, k, metric, raw, text, n).node();
  return h("tr", { key: k.id, tabindex: "0", "data-row": k.queue, class: cls(hot && "hotrow", c.ui.queue === k.queue && "chosen"), "aria-rowindex": o.from + i + 2, onclick: () => c.do.queue(k.queue) },
    h("th.name", { scope: "row" }, h("span.nametext", { title: name }, name), volumeMark(c, v, true)),
    h("td.sp", little(c, k, 112, 30)), h("td.num" + (hot ? ".heat3" : v.lull ? ".heat2" : ""), h("span.cell", hot || v.lull ? [d.icon(hot ? "critical" : "warning"), h("span.quiet", c.t(hot ? "surge" : "lull"))] : null, h("span", f.rate(v.rate_per_min))), h("small", f.rate(v.expected === null || v.expected === undefined ? null : Math.round(v.expected)))),
    simple("backlog", k.backlog, f.count(k.backlog)), simple("oldest_ms", oldest, dur(c, oldest)), simple("unassigned", k.unassigned, f.count(k.unassigned)),
    simple("frt_p90_km_ms", km, km === null || km === undefined ? f.NONE : w.frt_p90_km_censored ? ">" + dur(c, km) : dur(c, km), w?.frt_km_n),
    cell(c, k, "service_level", w?.service_level, f.percent(w?.service_level), m.judged(w)).node(h("small", "n " + f.count(m.judged(w))), w?.provisional && w.service_level !== null ? d.icon("provisional") : null),
    simple("abandon_rate", w?.abandon_rate, f.percent(w?.abandon_rate), m.left(w)), simple("sentiment", k.sentiment, f.mood(k.sentiment), k.sentiment_n));
}

const COLUMNS = [["name", "queue", null, ".name"], [null, "trend", null, ".sp"], ["rate", "rate", "usual"], ["backlog", "backlog"], ["oldest", "oldest"], ["unassigned", "unassigned"], ["frt", "frt90_short"], ["sl", "sl", "n"], ["abandon", "abandon_short"], ["sentiment", "sentiment"]];

export function table(c, ids, o) {
  const sort = c.ui.sort.replace("-", ""), back = c.ui.sort.startsWith("-");
  const head = COLUMNS.map(([id, word, sub, spec]) => {
    const on = id && sort === id, text = [h("span", c.t(word), on ? d.icon(back ? "up" : "down") : null), sub ? h("small", sub === "n" ? "n" : c.t(sub)) : null];
    return h("th" + (spec ?? ".num"), { key: word, scope: "col", "aria-sort": on ? (back !== (id === "sl" || id === "sentiment" || id === "name") ? "ascending" : "descending") : null }, id ? h("button.sort", { type: "button", title: id === "sentiment" ? c.t("mood_scale") : null, onclick: () => c.do.sort(id) }, text) : text);
  });
  const gap = (n, key) => (n > 0 ? h("tr.spacer", { key, "aria-hidden": "true" }, h("td", { colspan: 10 }, s("svg", { width: 1, height: n * o.high }))) : null);
  return h("table.queues", { "aria-rowcount": o.total + 1, "data-table": "", onpointerenter: () => c.do.hold(true), onpointerleave: () => c.do.hold(false) }, h("caption.quiet", c.t("queue")), h("thead", h("tr", head)), h("tbody", { "data-rows": "" }, gap(o.from, "\u0000above"), ids.slice(o.from, o.to).map((id, i) => (c.state.keys.has(id) ? row(c, c.state.keys.get(id), o, i) : null)), gap(ids.length - o.to, "\u0000below")));
}

export function map(c, rows) {
  const sorted = m.sorted(rows, "worst", c.ui.window, (k) => k.queue), squares = sorted.map((k) => [m.worstLevel(k), label(c, "queue", k.queue)]), width = c.size("map").width, many = (n) => rows.filter((k) => m.worstLevel(k) === n).length, tally = c.t("tally", many(3), many(2), many(1), many(0));
  return h("section.panel", { key: "map" }, h("div.phead", h("h2", c.t("squares")), h("span.gap"), h("small.sub", tally)), h("div.draw", { key: "map", "data-measure": "map" }, c.kept("map", JSON.stringify([squares, width, c.U, c.lang]), () => d.squares(squares, { U: c.U, width, label: `${c.t("squares")}: ${tally}` }))));
}

/* ── topics, agents, ribbon ──────────────────────────────────────────────────────────────────────────────────── */

export function topicsPanel(c) {
  const list = c.key?.topics, words = c.key?.keywords ?? [], shown = [...(list ?? [])].sort((a, b) => (b.change ?? 0) - (a.change ?? 0)).slice(0, 6), most = Math.max(1, ...shown.map((x) => x.count));
  return h("section.panel.topics", h("div.phead", h("h2", c.t("topics")), h("span.gap"), h("small.sub", c.t(c.ui.window))), !list ? h("p.sub", c.t("no_model")) : !shown.length ? h("p.sub", c.t("no_topics")) : h("ul.tlist", shown.map((x) => h("li" + (x.change >= 1.5 ? ".up" : ""), { key: x.topic, title: x.share === null || x.share === undefined ? null : f.percent(x.share) }, h("span.tname", { title: label(c, "topic", x.topic) }, label(c, "topic", x.topic)), d.bar(x.count / most, x.change >= 1.5), h("span.tnum", f.count(x.count)), h("span.tchg", f.times(x.change, c.zh))))),
    words.length ? h("p.akeys", words.slice(0, 8).map((x) => { const word = typeof x === "string" ? x : x.keyword ?? x.word ?? ""; return h("span.chip", { key: word }, word); })) : null,
    h("p.sub.moodline", { title: c.t("mood_scale") }, `${c.t("sentiment")} ${f.mood(c.key?.sentiment)}`, c.key?.sentiment === null || c.key?.sentiment === undefined ? ` · ${c.t("no_model")}` : ` · n ${f.count(c.key.sentiment_n)}`));
}

export function agentsPanel(c) {
  const st = m.staff(c.state, c.tenant, c.ui.queue);
  return h("section.panel.agentsp", h("div.phead", h("h2", c.t("agents")), h("span.gap"), h("small.sub", `${c.t("slots")} `, h("b", f.count(st.free)), st.unknown ? ` · ${c.t("unknown_n", st.unknown)}` : "")),
    st.agents.length ? [h("dl.astats", ["online", "busy", "away", "offline"].map((x) => h("div", { key: x }, h("dt", c.t(x)), h("dd", st.by[x])))), d.seats(st.agents.slice(0, 168)), h("p.sub", c.t("seats"))] : h("p.sub", c.t("no_agents")));
}

export function ribbon(c, page) {
  const rows = m.sorted(m.rowsOf(c.state, c.tenant, c.ui.channel), "worst", c.ui.window, (k) => k.queue).slice(0, 5);
  if (page === 1) return h("div.ribbon", { key: "topics" }, [...(c.key?.topics ?? [])].sort((a, b) => (b.change ?? 0) - (a.change ?? 0)).slice(0, 5).map((x) => h("div.rq", { key: x.topic }, h("div.rname", h("span", label(c, "topic", x.topic))), h("div.rnum", h("b", f.count(x.count, c.zh, true)), h("span", f.times(x.change, c.zh))))));
  if (page === 2) { const st = m.staff(c.state, c.tenant, c.ui.queue); return h("div.ribbon", { key: "agents" }, ["online", "busy", "away", "offline"].map((x) => h("div.rq", { key: x }, h("div.rname", h("span", c.t(x))), h("div.rnum", h("b", st.agents.length ? st.by[x] : f.NONE))))); }
  return h("div.ribbon", { key: "queues" }, rows.map((k) => {
    const n = m.worstLevel(k), oldest = aging(c, k.oldest_ms), why = k.volume?.surge ? c.t("surge") : n < 2 ? null : m.level(k, "oldest_ms", k.oldest_ms) > 1 ? c.t("long_wait") : c.t("backlog");
    return h("div.rq" + (n > 1 ? "." + tone(n) : ""), { key: k.id }, h("div.rname", n > 1 ? d.icon(LEVEL[n]) : null, h("span.rlabel", label(c, "queue", k.queue)), why ? h("span.rwhy", why) : null), h("div.rnum", h("b", f.count(k.backlog, c.zh, true)), h("span", dur(c, oldest))));
  }));
}

export function phoneList(c, ids) {
  return h("section.panel.qlist", h("div.phead", h("h2", c.t("queue")), h("small.sub", c.t("worst")), h("span.gap"), h("small.sub", `${c.t("backlog")} · ${c.t("oldest")}`)), h("ul", ids.slice(0, 60).map((id) => {
    const k = c.state.keys.get(id);
    if (!k) return null;
    const n = m.worstLevel(k);
    return h("li" + (n > 1 ? "." + tone(n) : ""), { key: id }, h("span.qname", n > 1 ? [d.icon(LEVEL[n]), h("span.quiet", c.t(LEVEL[n]))] : null, h("span.qlabel", label(c, "queue", k.queue)), k.volume?.learning ? d.mark("learning", c.t("learning")) : null), little(c, k, 84, 26), h("b", f.count(k.backlog)), h("span.qold", dur(c, aging(c, k.oldest_ms))));
  })), ids.length > 60 ? h("p.sub", c.t("more", ids.length - 60)) : null);
}
