// The card of an alert, that answers what, how bad, since when, why and what to do; folded; resolved.

import { h } from "./dom.js";
import * as d from "./draw.js";
import * as f from "./forms.js";
import * as m from "./model.js";
import { clock, dur, given, inUnit, label, lasted, number, opens } from "./say.js";

export const title = (c, a) =>
  m.volumeKind(a)
    ? [
        c.t(m.volumeKind(a)),
        a.queue === "*" && a.channel !== "*" ? null : label(c, "queue", a.queue),
        a.channel === "*" ? null : label(c, "channel", a.channel),
      ]
        .filter(Boolean)
        .join(" · ")
    : a.summary?.[c.lang] || `${a.rule} · ${label(c, "queue", a.queue)}`;
const safe = (url) => (/^https?:\/\//i.test(url ?? "") ? url : null);

/** An alert as the page shows it: what was just asked for counts at once, until the gateway says otherwise. */
export const seen = (c, a) =>
  c.pending.has(a.alert) && a.state === "firing" ? { ...a, state: "acknowledged", acknowledged_by: c.t("mine") } : a;

/** Whether a card is folded to two lines: somebody has it, it is over, it is silenced, or it is no more than news. */
function isFolded(c, a, silence) {
  const folded = a.state !== "firing" || !!silence || a.severity === "info";
  return c.opened.has(a.alert) ? !folded : folded;
}

/** Who has it: nobody, somebody, or a silence until when and by whom. */
function stateOf(c, a, silence) {
  if (silence) {
    const who = silence.reason ? `${silence.by ?? ""}${c.zh ? "：" : ": "}${silence.reason}` : (silence.by ?? "");
    return c.t("silenced", silence.until ? clock(c, m.time(silence.until)) : f.NONE, who);
  }
  if (a.state === "acknowledged") return `${c.t("acknowledged")} · ${a.acknowledged_by ?? ""}`;
  return a.state === "firing" ? c.t("firing") : "";
}

export function card(c, a) {
  const over = a.state === "resolved",
    silence = over ? null : m.silenceOf(c.state, a, c.at ?? 0),
    folded = isFolded(c, a, silence);
  const until = over ? `–${clock(c, Date.parse(a.resolved_at ?? a.at))}` : "",
    times = `${clock(c, Date.parse(a.since))}${until} · ${dur(c, lasted(c, a))}`;
  const head = h(
    "div.ahead",
    d.mark(over ? "ok" : silence ? "silenced" : a.severity, over ? c.t("resolved") : c.t(a.severity)),
    h("span.astate", stateOf(c, a, silence)),
    h("span.gap"),
    h("time", { datetime: a.since }, times),
  );
  const names = [
    over || silence ? "sev-quiet" : "sev-" + a.severity,
    folded ? "quietcard" : "",
    c.selected === a.alert ? "chosen" : "",
  ].filter(Boolean);
  return h(
    ["article", "alert", ...names].join("."),
    {
      key: a.alert,
      "data-alert": a.alert,
      tabindex: "0",
      "aria-label": `${c.t(over ? "resolved" : a.severity)} ${title(c, a)}`,
      onfocus: () => c.do.select(a.alert),
    },
    head,
    folded ? foldedCard(c, a) : wholeCard(c, a),
    folded || over ? grade(c, a) : null,
    silence?.id && c.can("silence") ? ending(c, silence) : null,
  );
}

const ending = (c, silence) =>
  h(
    "div.abtns",
    h("button", { type: "button", onclick: () => c.do.order({ unsilence: silence.id }) }, c.t("unsilence")),
  );

/** What is over, as it was at its worst: its last numbers are usual ones, and nothing drives those. */
const worst = (a) =>
  a.state === "resolved" && given(a.peak) && given(a.at_peak?.expected)
    ? { ...a, ...a.at_peak, value: a.peak, low: null, high: null, was: true }
    : a;

function foldedCard(c, a) {
  return h(
    "p.asum",
    h("button.fold", { type: "button", "aria-expanded": "false", onclick: () => c.do.unfold(a.alert) }, short(c, a)),
  );
}

function short(c, a) {
  const most =
    given(a.peak) && a.peak !== a.value
      ? ` · ${c.t(given(a.low) && !given(a.high) ? "lowest" : "peak")} ${inUnit(c, a.unit, a.peak)}`
      : "";
  const said = !m.volumeKind(a) && a.summary?.[c.lang] ? "" : ` · ${inUnit(c, a.unit, a.value)}`;
  const cause =
    a.state === "resolved"
      ? (worst(a).drivers ?? [])
          .filter((x) => x.dimension === "topic" && x.value !== "other")
          .slice(0, 1)
          .map((x) => ` · ${label(c, "topic", x.value)}`)
      : [];
  return [title(c, a), said, most, cause];
}

const DIMENSIONS = ["topic", "queue", "segment", "channel"];
export const dimensions = (a) => DIMENSIONS.filter((x) => (a.drivers ?? []).some((y) => y.dimension === x));

/** What an alert is about, as the list of conversations calls it. */
const about = (a) => ({
  of: m.volumeKind(a) ? "customer_messages" : (a.metric ?? "backlog"),
  at: a.queue ?? "*",
  channel: a.channel ?? "*",
});

/** The conversations of one driver, whose part in the excess stands beside it; of what is left over there is no list. */
function cause(c, a, x) {
  const to = { ...about(a), [{ queue: "at" }[x.dimension] ?? x.dimension]: x.value };
  const listed = ["topic", "channel", "queue"].includes(x.dimension) && x.value !== "other";
  return (text) => (listed ? number(c, to, ".dnum", {}, text) : h("span.dnum", text));
}

/** How bad: value, times usual, usual, normal range. */
function badness(c, a) {
  const comma = c.zh ? "，" : ", ";
  if (!m.volumeKind(a))
    return h(
      "p.afig",
      number(c, about(a), "", {}, h("b", inUnit(c, a.unit, a.value))),
      given(a.peak) ? h("span.afaint", `${c.t("peak")} ${inUnit(c, a.unit, a.peak)}`) : null,
    );
  const ratio = a.expected ? comma + f.times(a.value / a.expected, c.zh) : "",
    range = given(a.low) ? `${comma}${c.t("range")} ${f.rate(a.low)}–${f.rate(a.high)}` : "";
  return h(
    "p.afig",
    a.was ? h("span.afaint", c.t("peak")) : null,
    number(c, about(a), "", {}, h("b", f.rate(a.value))),
    h("span", ` ${c.t("per_min")}${ratio}`),
    given(a.expected) ? h("span.afaint", `${c.t("usual")} ${f.rate(a.expected)}${range}`) : null,
  );
}

/** Why: one dimension at a time with a switch, and the channels in one line where they are not the ones shown. */
function why(c, a) {
  const all = dimensions(a),
    chosen = c.dimension.get(a.alert),
    now = all.includes(chosen) ? chosen : (all.find((x) => x !== "channel") ?? all[0]);
  if (!now) return null;
  const tabs =
    all.length > 1
      ? h(
          "span.dims",
          { role: "group", "aria-label": c.t("why") },
          all.map((x) =>
            h(
              "button.plain",
              { key: x, type: "button", "aria-pressed": String(x === now), onclick: () => c.do.dimension(a.alert, x) },
              c.t("by_" + x),
            ),
          ),
        )
      : null;
  const line = now === "channel" ? [] : a.drivers.filter((x) => x.dimension === "channel");
  return [
    h("h4.whyhead", h("span", c.t("why")), tabs),
    drivers(c, a, now),
    line.length
      ? h(
          "p.achan",
          line.map((x) =>
            h("span", { key: x.value }, `${label(c, "channel", x.value)} ${f.signed(Math.round(x.excess))}`),
          ),
        )
      : null,
  ];
}

function impact(c, a, i) {
  const facts = [
    ["backlog", "backlog", f.count(i.backlog)],
    ["oldest_ms", "oldest", dur(c, i.oldest_ms)],
    ["frt_p90_km_ms", "frt90", dur(c, i.frt_p90_ms)],
  ];
  return [
    h("h4", c.t("impact")),
    h(
      "dl.impact",
      facts.map(([of, k, x]) =>
        h(
          "div",
          { key: k },
          h("dt", c.t(k)),
          h("dd", x === f.NONE ? x : number(c, { of, at: a.queue ?? "*", channel: a.channel ?? "*" }, "", {}, x)),
        ),
      ),
    ),
  ];
}

function wholeCard(c, alert) {
  const a = worst(alert),
    words = c.view === "phone" ? [] : (a.keywords ?? []).slice(0, 8);
  return [
    h("h3", title(c, a)),
    badness(c, a),
    why(c, a),
    words.length
      ? h(
          "p.akeys",
          words.map((x) => h("span.chip", { key: x }, x)),
        )
      : null,
    (a.samples ?? []).length ? h("blockquote", `“${a.samples[0]}”`) : null,
    impact(c, a, a.impact ?? {}),
    advice(c, a.impact ?? {}),
    buttons(c, a),
  ];
}

function drivers(c, a, dimension) {
  const list = a.drivers.filter((x) => x.dimension === dimension),
    rows = [...list.filter((x) => x.value !== "other"), ...list.filter((x) => x.value === "other")],
    most = Math.max(1e-9, ...list.map((x) => Math.abs(x.excess)));
  const sums = m.addUp(rows.map((x) => x.excess));
  return h(
    "ul.drivers",
    rows.map((x, i) =>
      h(
        "li",
        { key: x.value },
        h(
          "span.dname",
          { title: label(c, dimension, x.value) },
          x.value === "other" ? c.t("other") : label(c, dimension, x.value),
        ),
        d.bar(Math.abs(x.excess) / most, true),
        cause(c, a, x)(f.signed(sums.parts[i])),
        h("span.dshare", f.percent(x.share, 0)),
      ),
    ),
    h(
      "li.total",
      { key: "\u0000total" },
      h("span.dname", c.t("total_excess")),
      h("span.dbar"),
      h("span.dnum", f.signed(sums.total)),
      h("span.dshare", c.t("per_min")),
    ),
  );
}

/** How many people it takes, and what happens with and without them, in one sentence. */
function advice(c, i) {
  if (i.agents_needed === null || i.agents_needed === undefined) return null;
  if (!i.agents_needed) return [h("h4", c.t("todo")), h("p.ado", h("b", c.t("need_none")), c.t("stop"))];
  const plus = Object.entries(i.drain_plus ?? {})
      .filter(([, sec]) => sec !== null)
      .sort((a, b) => a[0] - b[0])[0],
    alone =
      i.drain_s === null || i.drain_s === undefined
        ? i.drain_plus
          ? c.t("with_none")
          : ""
        : c.t("alone", f.about(i.drain_s * 1000, c.zh));
  return [
    h("h4", c.t("todo")),
    h(
      "p.ado",
      h("b", c.t("need", f.count(i.agents_needed))),
      c.t("back_on"),
      plus ? c.t("with_n", plus[0], f.about(plus[1] * 1000, c.zh)) : "",
      alone,
      c.t("stop"),
    ),
  ];
}

function buttons(c, a) {
  const url = safe(a.runbook),
    to = { page: "behind", ...about(a) };
  if (!c.can("ack") && !c.can("silence") && !url && !opens(c)) return null;
  const button = (key, act, words, primary) =>
    h("button" + (primary ? ".primary" : ""), { key, type: "button", "data-do": key, onclick: act }, words);
  return h(
    "div.abtns",
    c.can("ack") && a.state === "firing" ? button("ack", () => c.do.ack(a.alert), c.t("ack"), true) : null,
    c.can("silence") && a.state !== "resolved" ? button("silence", () => c.do.silence(a), c.t("silence")) : null,
    opens(c) ? h("a.button", { key: "see", href: c.link(to), onclick: c.follow(to) }, c.t("see")) : null,
    url ? h("a", { key: "run", href: url, rel: "noreferrer noopener", target: "_blank" }, c.t("runbook")) : null,
    c.opened.has(a.alert)
      ? h(
          "button.plain",
          { key: "fold", type: "button", "aria-expanded": "true", onclick: () => c.do.unfold(a.alert) },
          c.t("fold"),
        )
      : null,
  );
}

export function grade(c, a) {
  if (!c.can("ack") || a.state !== "resolved") return null;
  if (a.grade) return h("p.sub", `${c.t("graded")} · ${c.t(a.grade)}`);
  return h(
    "p.sub.grade",
    c.t("was_it"),
    ["useful", "noise"].map((as) =>
      h("button.plain", { key: as, type: "button", onclick: () => c.do.order({ grade: a.alert, as }) }, c.t(as)),
    ),
  );
}
