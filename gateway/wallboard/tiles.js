// The figures: label and state, value, level against its limit, companions; and behind each, the conversations.

import { h, s } from "./dom.js";
import * as d from "./draw.js";
import * as f from "./forms.js";
import * as m from "./model.js";
import { LEVEL, aging, clock, crossed, dur, given, label, number, tone } from "./say.js";

/** A value with its units small beside it; a grey bar while nothing has been read; a dash where it is unknown. */
export function value(pieces, o = {}) {
  if (o.loading)
    return s(
      "svg",
      { class: "bone", viewBox: "0 0 80 30", "aria-hidden": "true" },
      s("rect", { width: 80, height: 30 }),
    );
  if (!pieces) return h("span.none", f.NONE);
  return pieces.map(([n, u]) => [h("span" + (o.provisional ? ".prov" : "") + ".n", n), u ? h("span.u", u) : null]);
}
export const whole = (text) =>
  text === f.NONE ? null : text.endsWith("%") ? [[text.slice(0, -1), "%"]] : [[text, null]];

/** `o.of`: what its number opens. `o.hint`: sentences that stand beside it while a pointer or the focus is on it. */
export function tile(c, o) {
  const long = (o.pieces ?? []).length > 1 || String(o.pieces?.[0]?.[0] ?? "").length > 6 ? ".long" : "";
  const shown = [
    o.lead ? h("span.lead", o.lead) : null,
    value(o.pieces, { provisional: o.provisional, loading: !c.state.ready }),
  ];
  const hints = c.state.ready && c.view !== "tv" ? (o.hint ?? []).filter(Boolean) : [];
  const inside =
    o.of && o.pieces && c.state.ready
      ? number(
          c,
          { of: o.of, at: c.ui.queue, ...o.where },
          "",
          {
            "aria-label": `${o.label} ${(o.lead ?? "") + said(o.pieces)}`,
            "aria-describedby": hints.length ? "hint-" + o.key : null,
          },
          shown,
        )
      : shown;
  return h(
    "section.tile" + (o.tone ? "." + o.tone : ""),
    { key: o.key, "aria-label": o.label },
    h("div.label", h("span", o.label), o.mark ?? null),
    h("div.value" + long, { "data-of": o.key }, inside),
    o.gauge ?? d.gauge(null, null),
    h(
      "div.subs",
      (c.state.ready ? (o.subs ?? []) : []).filter(Boolean).map((x) => (typeof x === "string" ? h("span", x) : x)),
      hints.length
        ? h(
            "button.plain.why",
            {
              key: "why",
              type: "button",
              "aria-label": `${o.label}: ${c.t("more_on")}`,
              "aria-describedby": "hint-" + o.key,
            },
            "ⓘ",
          )
        : null,
    ),
    hints.length
      ? h(
          "div.hint",
          { key: "hint", id: "hint-" + o.key, role: "note" },
          hints.map((x) => h("p", x)),
        )
      : null,
  );
}
const said = (pieces) => pieces.map(([n, u]) => n + (u ?? "")).join(" ");

/** A figure against its limit; where there is no limit there is no scale, so nothing is filled. */
function against(key, metric, x, mark, n) {
  const far = m.edge(key, metric, 3)?.value ?? mark;
  return given(far) ? d.gauge(x, mark, { max: Math.max(far * 1.5, x ?? 0), tone: tone(n) }) : d.gauge(null, null);
}

const n = (c, x) => "n " + f.count(x ?? 0, c.zh);
const target = (c, key) => f.round(key?.targets?.target_ms, c.zh);
/** A companion that is itself a number of conversations: it opens them. */
const beside = (c, of, ...text) => number(c, { of, at: c.ui.queue }, "", { key: of }, text);
const word = (lv, text) => h("span" + (lv > 1 ? ".tword" : ""), text);

function backlog(c, key, g) {
  const lv = g.backlog.level,
    never = key?.backlog && !c.summed ? c.t("drain_none") : null, // of a sum nobody knows
    drains = given(key?.drain_s) ? c.t("drain", dur(c, key.drain_s * 1000)) : never;
  return tile(c, {
    key: "backlog",
    of: "backlog",
    label: c.t("backlog"),
    tone: tone(lv),
    pieces: key ? [[f.count(g.backlog.value, c.zh, c.view === "tv"), null]] : null,
    gauge: against(key, "backlog", g.backlog.value, m.edge(key, "backlog", 3)?.value, lv),
    mark: crossed(c, key, "backlog", lv, (x) => f.count(x)),
    subs: key
      ? [
          beside(c, "over_target", `${c.t("over_t", target(c, key))} ${f.count(key.over_target)}`),
          beside(c, "unassigned", `${c.t("unassigned")} ${f.count(key.unassigned)}`),
        ]
      : [c.t("no_data")],
    hint: key
      ? [
          drains,
          ageLine(c, key.ages),
          `${c.t("with_bot")} ${f.count(key.with_bot)} · ${c.t("on_customer")} ${f.count(key.waiting_on_customer)}`,
        ]
      : [],
  });
}

/** `under 1m 43 · 1m–5m 45`: only what is there. */
function ageLine(c, ages) {
  const names = d.bands(c.t, c.zh),
    parts = (ages ?? []).map((x, i) => (x ? `${names[i]} ${f.count(x)}` : null)).filter(Boolean);
  return parts.length ? `${c.t("age_bands")}${c.zh ? "：" : ": "}${parts.join(" · ")}` : null;
}

function oldest(c, key, g) {
  const ms = aging(c, g.oldest.value),
    lv = m.level(key, "oldest_ms", ms),
    where = c.ui.queue === "*" ? worstWaiter(c) : null;
  const told =
    where && m.alertsOf(c.state, c.tenant).find((a) => a.queue === where.queue && a.state === "acknowledged");
  return tile(c, {
    key: "oldest",
    of: "oldest_ms",
    label: c.t("oldest"),
    tone: tone(lv),
    pieces: f.parts(ms, c.zh),
    gauge: against(key, "oldest_ms", ms, m.edge(key, "oldest_ms", 2)?.value, lv),
    mark: crossed(c, key, "oldest_ms", lv, (x) => f.round(x, c.zh), "over"),
    subs: key
      ? [
          where ? label(c, "queue", where.queue) : null,
          told ? c.t("acknowledged") : null,
          ms === null ? c.t("waiting_for") + " 0" : null,
        ]
      : [c.t("no_data")],
    hint:
      key && ms !== null
        ? [told ? `${c.t("acknowledged")} · ${told.acknowledged_by ?? ""}` : c.t("nobody_on_it"), ageLine(c, key.ages)]
        : [],
  });
}

function worstWaiter(c) {
  const most = c.key?.oldest_ms;
  return given(most) ? (c.rows.find((k) => k.oldest_ms === most) ?? null) : null;
}

function firstReply(c, key, g, none) {
  const w = g.window,
    lv = g.frt.level,
    T = target(c, key),
    plain = w ? beside(c, "frt_p90_ms", `${c.t("plain")} ${dur(c, w.frt_p90_ms)}`) : null;
  const median = w ? (w.frt_p50_km_censored ? c.t("over", dur(c, w.frt_p50_km_ms)) : dur(c, w.frt_p50_km_ms)) : null;
  if (c.summed) return answeredOnly(c, w, plain);
  const subs =
    !w || !w.frt_km_n
      ? [none, n(c, 0)]
      : c.view === "tv"
        ? [word(lv, `${c.t("target")} ${T}`), n(c, w.frt_km_n), plain]
        : [plain, n(c, w.frt_km_n)];
  return tile(c, {
    key: "frt",
    of: "frt_p90_km_ms",
    label: c.t("frt90"),
    tone: tone(lv),
    lead: w?.frt_p90_km_censored && g.frt.value !== null ? c.t("over", "").trim() : null,
    pieces: f.parts(g.frt.value, c.zh),
    gauge: against(key, "frt_p90_km_ms", g.frt.value, key?.targets?.target_ms, lv),
    mark: lv > 1 ? d.mark(LEVEL[lv], `${c.t("target")} ${T}`) : null,
    subs,
    hint: w?.frt_km_n ? [`${c.t("p50")} ${median} · ${c.t("target")} ${T}`, c.t("km_why")] : [],
  });
}

/** Of several queues: with those still waiting it can be had of each, or of all, but not from parts. */
const answeredOnly = (c, w, plain) =>
  tile(c, {
    key: "frt",
    label: c.t("frt90"),
    pieces: null,
    subs: w ? [plain, n(c, w.frt_n)] : [c.t("no_data")],
    hint: [c.t("km_parts")],
  });

function serviceLevel(c, key, g, none) {
  const w = g.window,
    lv = g.sl.level,
    tv = c.view === "tv",
    goal = key?.targets?.service_level ?? null,
    change = restatedOf(c, key);
  const open = w?.provisional
    ? beside(
        c,
        "undecided",
        d.icon("provisional"),
        tv ? ` ${f.count(w.undecided)} ${c.t("undecided")}` : ` ${c.t("provisional")} ${f.count(w.undecided)}`,
      )
    : null;
  return tile(c, {
    key: "sl",
    of: "service_level",
    label: c.t("sl"),
    tone: tone(lv),
    pieces: whole(f.percent(g.sl.value)),
    provisional: w?.provisional && g.sl.value !== null,
    gauge: d.gauge(g.sl.value, goal, { tone: tone(lv) }),
    mark: lv > 1 ? d.mark(LEVEL[lv], c.t("below_target")) : change ? d.mark("restated", "", change) : null,
    subs: [
      tv && lv > 1 ? word(lv, c.t("below", f.limit(goal))) : `${c.t("target")} ${f.limit(goal)}`,
      n(c, m.judged(w)),
      open,
      w && g.sl.value === null && !tv ? none : null,
    ],
    hint: w
      ? [
          `${c.t("connect")} ${f.percent(w.connect)} · ${c.t("plain")} ${f.percent(w.answered_only)}`,
          w.provisional ? c.t("prov_long", f.count(w.undecided)) : null,
          change,
        ]
      : [],
  });
}

function restatedOf(c, key) {
  const last = (key?.restated ?? []).filter((r) => r.field === "service_level").pop();
  return last ? c.t("restated_line", clock(c, m.time(last.minute)), f.percent(last.old), f.percent(last.new)) : null;
}

function abandoned(c, key, g, none) {
  const w = g.window,
    lv = g.abandon.level,
    edge = m.edge(key, "abandon_rate", 2);
  return tile(c, {
    key: "abandon",
    of: "abandon_rate",
    label: c.t("abandon"),
    tone: tone(lv),
    pieces: whole(f.percent(g.abandon.value)),
    gauge: against(key, "abandon_rate", g.abandon.value, edge?.value, lv),
    mark: crossed(c, key, "abandon_rate", lv, f.limit),
    subs: [
      edge ? `${c.t("limit")} ${f.limit(edge.value)}` : null,
      n(c, m.left(w)),
      w && g.abandon.value === null && c.view !== "tv" ? none : null,
    ],
    hint: w
      ? [
          c.t("short_left", f.count(w.short_abandoned)),
          `${c.t("abandoned")} ${f.count(w.abandoned)} · ${c.t("dropped")} ${f.count(w.dropped)}`,
        ]
      : [],
  });
}

function csat(c, w) {
  const few = w && w.ratings > 0 && w.ratings < 5,
    range = w && given(w.csat_low) ? c.t("ci", Math.floor(w.csat_low * 100), Math.ceil(w.csat_high * 100) + "%") : null;
  return tile(c, {
    key: "csat",
    of: "csat",
    label: c.t("csat"),
    pieces: few ? null : whole(f.percent(w?.csat ?? null, 0)),
    gauge: d.gauge(few ? null : w?.csat, null),
    subs: few
      ? [c.t("too_few", w.ratings)]
      : [n(c, w?.ratings), range, w && !w.ratings && c.view !== "tv" ? c.t("no_cases") : null],
  });
}

function sentiment(c, key) {
  const n_ = key?.sentiment_n ?? 0,
    lv = m.level(key, "sentiment", key?.sentiment, n_);
  return tile(c, {
    key: "sentiment",
    of: "sentiment",
    label: c.t("sentiment"),
    tone: tone(lv),
    pieces: given(key?.sentiment) ? [[f.mood(key.sentiment), null]] : null,
    mark: crossed(c, key, "sentiment", lv, f.mood),
    subs: [given(key?.sentiment) ? n(c, n_) : c.t("no_model")],
    hint: [c.t("mood_scale")],
  });
}

function slots(c, key) {
  const st = m.staff(c.state, c.tenant, c.queues),
    starved = st.free === 0 && (key?.unassigned ?? 0) > 0,
    tv = c.view === "tv";
  const who = [
    `${c.t("online")} ${st.by.online}`,
    `${c.t("busy")} ${st.by.busy}`,
    tv && st.unknown ? null : `${c.t("away")} ${st.by.away}`,
    st.unknown ? c.t("unknown_n", st.unknown) : null,
  ];
  return tile(c, {
    key: "slots",
    label: c.t("slots"),
    of: "open", // what the slots that are not free are taken by
    tone: starved ? "tone-warning" : "",
    pieces: st.free === null ? null : [[f.count(st.free, c.zh, tv), null]],
    gauge: d.gauge(st.free, null, { max: st.capacity, tone: starved ? "tone-warning" : "" }),
    mark: starved ? d.mark("warning", c.t("nobody_free")) : null,
    subs: st.agents.length ? who : [c.t("no_agents")],
  });
}

export function tiles(c) {
  const key = c.key,
    g = m.figures(key, c.ui.window),
    none = key ? c.t("no_cases") : c.t("no_data");
  return {
    backlog: backlog(c, key, g),
    oldest: oldest(c, key, g),
    frt: firstReply(c, key, g, none),
    sl: serviceLevel(c, key, g, none),
    abandon: abandoned(c, key, g, none),
    csat: csat(c, g.window),
    slots: slots(c, key),
    sentiment: sentiment(c, key),
  };
}
