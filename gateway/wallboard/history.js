// The past: figures of a period beside the period before it, service level by hour and weekday, a series, what was restated.

import { PERIODS } from "./address.js";
import { answered } from "./asked.js";
import { csv } from "./csv.js";
import { h } from "./dom.js";
import * as d from "./draw.js";
import * as f from "./forms.js";
import { PARTS, hours } from "./hours.js";
import { changes, outcomesUrl, replies, resolution, resolved, topics } from "./outcomes.js";
import { copying } from "./receipt.js";
import { clock, dur, given, inUnit, label, number, opens } from "./say.js";
import { tile, whole } from "./tiles.js";
import { channelSelect, queueSelect, select, tenantSelect } from "./views.js";

const HOUR = 36e5,
  DAY = 24 * HOUR,
  FRESH = 60e3;
const FIGURES = ["offered", "frt_p90_ms", "service_level", "abandon_rate", "csat"];
export const SERIES = [
  "customer_messages",
  "service_level",
  "frt_p90_ms",
  "backlog",
  "oldest_ms",
  "abandon_rate",
  "offered",
  "sentiment",
];

/** Begin and end of a period, ms, at midnights of the tenant's zone where it has any. */
export function span(period, now, zone) {
  const today = midnight(now, zone),
    hour = Math.ceil(now / HOUR) * HOUR;
  if (period === "today") return [today, Math.max(hour, today + HOUR)];
  if (period === "yesterday") return [midnight(today - HOUR, zone), today];
  const days = parseInt(period, 10);
  return [midnight(today - days * DAY + HOUR * 2, zone), today];
}

/** The last midnight of a zone, ms. */
export function midnight(ms, zone) {
  const text = f.clock(ms, zone, { seconds: true }),
    [hours, minutes, seconds] = text.split(":").map(Number);
  const guess = Math.floor(ms / 1000) * 1000 - ((hours * 60 + minutes) * 60 + seconds) * 1000;
  const [h2] = f.clock(guess, zone, {}).split(":").map(Number); // a day on which the clock was changed
  return h2 === 0 ? guess : h2 > 12 ? guess + (24 - h2) * HOUR : guess - h2 * HOUR;
}

const ask = (c, metrics, from, to, step) => {
  const q = new URLSearchParams({
    tenant: c.tenant,
    metric: metrics.join(","),
    queue: c.ui.queue,
    channel: c.ui.channel,
    from: new Date(from).toISOString(),
    to: new Date(to).toISOString(),
    ...(step ? { step } : {}),
  });
  const url = "/v1/history?" + q;
  return [url, c.ask(url, FRESH)];
};

export function historyPage(c) {
  const now = c.at ?? c.today ?? Date.now(),
    [from, to] = span(c.ui.period, now, c.zone),
    long = to - from;
  const day = ["today", "yesterday"].includes(c.ui.period),
    metric = SERIES.includes(c.ui.of) ? c.ui.of : "customer_messages";
  const [figuresUrl, figures] = ask(c, FIGURES, from - long, to, long / 1000);
  const [gridUrl, grid] = ask(c, PARTS, from, to, 3600),
    [lineUrl, line] = ask(c, [metric], from, to, day ? 600 : c.ui.period === "7d" ? 3600 : 14400);
  const cameUrl = outcomesUrl(c, from, to),
    came = c.ask(cameUrl, FRESH),
    where = { from: new Date(from).toISOString(), to: new Date(to).toISOString() };
  return h(
    "main.desk.hist",
    { id: "main", key: "history", tabindex: "-1" },
    bar(c, line, from, to),
    h(
      "div.kpis",
      { key: "kpis" },
      answered(c, figures, figuresUrl, (data) => tilesOf(c, data, where, came.data ?? null)),
    ),
    h(
      "section.panel",
      { key: "grid" },
      h(
        "div.phead",
        h("h2", c.t("sl")),
        h("small.sub", c.t("by_hour", goal(c))),
        h("span.gap"),
        h("small.sub", c.t("outlined")),
      ),
      answered(c, grid, gridUrl, (data) => hours(c, data)),
    ),
    h(
      "section.panel",
      { key: "line" },
      h(
        "div.phead",
        h("h2", c.t("course")),
        select(
          c,
          "of",
          c.t("number"),
          SERIES.map((x) => [x, c.t("m_" + x)]),
          metric,
        ),
        h("span.gap"),
        h(
          "button.plain",
          { type: "button", "aria-pressed": String(!!c.ui.table), onclick: c.do.table },
          c.t(c.ui.table ? "chart" : "table"),
        ),
      ),
      answered(c, line, lineUrl, (data) => course(c, data)),
    ),
    h(
      "div.three",
      { key: "three" },
      part(
        c,
        "replies",
        count(came.data?.first_replies?.n),
        answered(c, came, cameUrl, (data) => replies(c, data)),
      ),
      part(
        c,
        "topics_by_day",
        null,
        answered(c, came, cameUrl, (data) => topics(c, data)),
      ),
      part(
        c,
        "resolution_by_day",
        null,
        answered(c, came, cameUrl, (data) => resolved(c, data)),
      ),
    ),
    part(
      c,
      "restated_data",
      null,
      answered(c, line, lineUrl, (data) => changes(c, data.restated ?? [], from, to)),
    ),
  );
}

const count = (n) => (n ? `n ${f.count(n)}` : null);

const part = (c, word, beside, ...inside) =>
  h(
    "section.panel",
    { key: word },
    h("div.phead", h("h2", c.t(word)), h("span.gap"), beside ? h("small.sub", beside) : null),
    inside,
  );

const goal = (c) => f.limit(c.key?.targets?.service_level ?? null);

function bar(c, line, from, to) {
  const days = `${f.date(from, c.zone, c.zh)} – ${f.date(to - 1, c.zone, c.zh)}`;
  return h(
    "section.filters",
    { "aria-label": c.t("filters") },
    tenantSelect(c),
    select(
      c,
      "period",
      c.t("period"),
      PERIODS.map((x) => [x, c.t("p_" + x)]),
    ),
    queueSelect(c, c.rows),
    channelSelect(c),
    h("span.sub", days),
    h("span.gap"),
    line.data ? h("button.tool", { key: "csv", type: "button", onclick: () => save(c, line.data) }, c.t("csv")) : null,
    copying(c, "link", "copy_link", location.origin + c.link({})),
  );
}

const of = (data, metric) => (data.series ?? []).find((x) => x.metric === metric);

/** The last step is the period, the one before it what it is compared with. */
function tilesOf(c, data, where, came) {
  const get = (metric) => {
    const one = of(data, metric),
      last = (one?.values.length ?? 0) - 1;
    return {
      now: one?.values[last] ?? null,
      was: last > 0 ? one.values[last - 1] : null,
      n: one?.n?.[last] ?? 0,
      censored: one?.censored?.[last],
    };
  };
  const before = (word, x) => (given(x) ? c.t("before", word) : null),
    n = (x) => `n ${f.count(x ?? 0, c.zh)}`;
  const offered = get("offered"),
    frt = get("frt_p90_ms"),
    sl = get("service_level"),
    gone = get("abandon_rate"),
    csat = get("csat");
  const change = (x) =>
      given(x.now) && x.was
        ? c.t("change_before", `${x.now >= x.was ? "+" : "−"}${f.percent(Math.abs(x.now - x.was) / x.was)}`)
        : null,
    plain = (key, word, of_, pieces, subs) => tile(c, { key, label: c.t(word), of: of_, where, pieces, subs });
  return [
    plain("offered", "offered", "offered", given(offered.now) ? [[f.count(offered.now), null]] : null, [
      change(offered),
    ]),
    plain("frt", "frt90", "frt_p90_ms", f.parts(frt.now, c.zh), [n(frt.n), before(dur(c, frt.was), frt.was)]),
    plain("sl", "sl", "service_level", whole(f.percent(sl.now)), [
      `${c.t("target")} ${goal(c)}`,
      n(sl.n),
      before(f.percent(sl.was), sl.was),
    ]),
    plain("abandon", "abandon", "abandon_rate", whole(f.percent(gone.now)), [
      n(gone.n),
      before(f.percent(gone.was), gone.was),
    ]),
    resolution(c, came ?? {}, where),
    plain("csat", "csat", "csat", csat.n > 0 && csat.n < 5 ? null : whole(f.percent(csat.now, 0)), [
      csat.n > 0 && csat.n < 5 ? c.t("too_few", csat.n) : n(csat.n),
      before(f.percent(csat.was, 0), csat.was),
    ]),
  ];
}

/* ── the course of one number ────────────────────────────────────────────────────────────────────────────────── */

function course(c, data) {
  const one = data.series?.[0];
  if (!one || !one.values.some(given)) return h("p.sub", c.t("no_cases"));
  const usual = data.usual ?? {},
    points = data.at.map((text, i) => ({
      t: Date.parse(text),
      v: one.values[i] ?? null,
      n: one.n?.[i] ?? null,
      e: usual.expected?.[i] ?? null,
      lo: usual.low?.[i] ?? null,
      hi: usual.high?.[i] ?? null,
    }));
  if (c.ui.table) return figures(c, one, points, data.step_s * 1000);
  const o = {
    U: c.U,
    width: c.size("course").width,
    height: 220,
    zone: c.zone,
    zh: c.zh,
    step: data.step_s * 1000,
    unit: one.unit,
    write: (x) => inUnit(c, one.unit, x),
    label: `${label(c, "queue", data.queue)} · ${c.t("m_" + one.metric)}`,
    open: opens(c) && past(one.metric) ? (p) => follow(c, one, p, data.step_s * 1000) : null,
  };
  return h("div.draw", { key: "course", "data-measure": "course" }, d.course(points, o));
}

/** Whether the conversations behind a past value can be had: not of what stood open then. */
const past = (metric) => !["backlog", "oldest_ms"].includes(metric);

/** The link of a point of the drawing; the keyboard reaches the same in the table. */
function follow(c, one, p, step) {
  const to = { page: "behind", ...between(c, one.metric, p.t, step) };
  return {
    attrs: { href: c.link(to), onclick: c.follow(to), tabindex: "-1", "aria-hidden": "true" },
    title: `${clock(c, p.t)} ${inUnit(c, one.unit, p.v)}`,
  };
}

/** What is behind one step of a course. */
const between = (c, metric, from, step) => ({
  of: metric,
  at: c.ui.queue,
  from: new Date(from).toISOString(),
  to: new Date(from + step).toISOString(),
});

function figures(c, one, points, step) {
  const heads = ["time", "number", "n_cases", "usual", "range"].map((x) => h("th", { scope: "col" }, c.t(x)));
  const value = (p) =>
    past(one.metric) && given(p.v)
      ? number(c, between(c, one.metric, p.t, step), "", {}, inUnit(c, one.unit, p.v))
      : inUnit(c, one.unit, p.v);
  const row = (p) =>
    h(
      "tr",
      { key: p.t },
      h("th", { scope: "row" }, clock(c, p.t)),
      [value(p), f.count(p.n), inUnit(c, one.unit, p.e), given(p.lo) ? `${f.rate(p.lo)}–${f.rate(p.hi)}` : f.NONE].map(
        (x) => h("td", x),
      ),
    );
  return h(
    "div.panes",
    { tabindex: "0", role: "region", "aria-label": c.t("table") },
    h("table", h("thead", h("tr", heads)), h("tbody", [...points].reverse().map(row))),
  );
}

/** The shown series as a CSV file. */
function save(c, data) {
  const key = ["tenant", "queue", "channel"],
    head = ["at", ...key, ...data.series.flatMap((x) => [x.metric, x.metric + "_n"])],
    rows = data.at.map((at, i) => [
      at,
      ...key.map((name) => data[name]),
      ...data.series.flatMap((x) => [x.values[i] ?? null, x.n?.[i] ?? null]),
    ]);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csv([head, ...rows])], { type: "text/csv" }));
  link.download = `tidewatch-${c.tenant}-${data.series.map((x) => x.metric).join("-")}.csv`.replace(/[^\w.-]+/g, "_");
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
