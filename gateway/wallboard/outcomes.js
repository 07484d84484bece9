// What came of a period: how long first replies took, what it was about day by day, what was resolved, what was restated.

import { h, s } from "./dom.js";
import * as d from "./draw.js";
import * as f from "./forms.js";
import * as m from "./model.js";
import { clock, given, inUnit, label } from "./say.js";
import { tile, whole } from "./tiles.js";

const LATE_BARS = 6, // bars up to the target
  MOST = 50;

/** Where the outcomes of a period are asked for; bars so wide that the target stands between two of them. */
export function outcomesUrl(c, from, to) {
  const target = c.key?.targets?.target_ms ?? null,
    bar = target ? Math.max(1, Math.round(target / LATE_BARS / 1000)) : 10;
  const q = { tenant: c.tenant, queue: c.ui.queue, channel: c.ui.channel, from: iso(from), to: iso(to), bar };
  return "/v1/outcomes?" + new URLSearchParams(q);
}
const iso = (ms) => new Date(ms).toISOString();

/** The share that was resolved and stayed so: of sums over days. Provisional until nothing can be reopened any more. */
export function resolution(c, data, where) {
  const sum = (name) => (data.days ?? []).reduce((n, x) => n + x[name], 0),
    judged = sum("judged"),
    open = (data.days ?? []).some((x) => x.provisional);
  return tile(c, {
    key: "resolution",
    label: c.t("resolution"),
    of: "resolved",
    where,
    pieces: judged ? whole(f.percent(sum("stayed") / judged)) : null,
    provisional: open && judged > 0,
    subs: [
      `n ${f.count(judged)}`,
      judged ? null : c.t("no_cases"),
      open && judged ? h("span", d.icon("provisional"), " " + c.t("within_72h")) : null,
    ],
    hint: [c.t("resolution_why")],
  });
}

/** How long first replies took, as bars; those beyond the target in its colour, its mark between them. */
export function replies(c, data) {
  const told = data.first_replies,
    target = c.key?.targets?.target_ms ?? null;
  if (!told?.n) return h("p.sub", c.t("no_cases"));
  const width = c.size("replies").width,
    U = c.U,
    fs = 12 * U,
    height = 200 * U,
    floor = height - fs * 1.6,
    top = fs * 1.4,
    w = width / told.counts.length,
    peak = Math.max(...told.counts),
    name = (i) => f.round(i * told.bar_ms, c.zh);
  const bars = told.counts.map((n, i) => {
    const tall = n ? Math.max(1.5 * U, (n / peak) * (floor - top)) : 0,
      last = i === told.counts.length - 1,
      late = target !== null && i * told.bar_ms >= target;
    return s(
      "rect",
      { class: late ? "bar late" : "bar", x: i * w + U, y: floor - tall, width: Math.max(1, w - 2 * U), height: tall },
      s("title", {}, `${last ? c.t("over", name(i)) : `${name(i)} – ${name(i + 1)}`} · ${f.count(n)}`),
    );
  });
  const every = Math.max(1, Math.ceil((44 * U) / (w * 3))) * 3,
    marks = told.counts.map((_, i) =>
      i % every === 0 && i < told.counts.length - 2
        ? s(
            "text",
            { class: "axis", x: Math.max(i * w, U), y: floor + fs * 1.3, "text-anchor": i ? "middle" : "start" },
            name(i),
          )
        : null,
    );
  const at = target === null ? null : Math.min((target / told.bar_ms) * w, width),
    within = told.counts.reduce((n, x, i) => n + ((i + 1) * told.bar_ms <= (target ?? 0) ? x : 0), 0),
    spoken =
      `${c.t("replies")}: n ${f.count(told.n)}` +
      (target ? `, ${c.t("within", f.round(target, c.zh))} ${f.percent(within / told.n)}` : "");
  return h(
    "div.draw",
    { key: "replies", "data-measure": "replies" },
    s(
      "svg",
      {
        class: "replies",
        width,
        height,
        viewBox: `0 0 ${Math.round(width)} ${Math.round(height)}`,
        role: "img",
        "aria-label": spoken,
      },
      bars,
      s("line", { class: "floor", x1: 0, x2: width, y1: floor, y2: floor }),
      marks,
      s("text", { class: "axis", x: width, y: floor + fs * 1.3, "text-anchor": "end" }, c.t("longer")),
      at === null
        ? null
        : [
            s("line", { class: "goal", x1: at, x2: at, y1: 0, y2: floor }),
            s("text", { class: "marktext", x: at + fs * 0.5, y: fs }, `${c.t("target")} ${f.round(target, c.zh)}`),
          ],
    ),
  );
}

/** Topics of the period, each with its share of all messages and its course from day to day. */
export function topics(c, data) {
  const { days = [], messages = [], items = [] } = data.topics ?? {},
    all = messages.reduce((n, x) => n + x, 0);
  if (!items.length) return h("p.sub", c.t("no_topics"));
  const share = (x, i) => (messages[i] ? x / messages[i] : null),
    peak = Math.max(0.001, ...items.flatMap((x) => x.counts.map((n, i) => share(n, i) ?? 0)));
  const row = (x) =>
    h(
      "tr",
      { key: x.topic },
      h("th", { scope: "row" }, h("span.tname", { title: label(c, "topic", x.topic) }, label(c, "topic", x.topic))),
      h(
        "td.tdays",
        strip(c, x, days, (n, i) => share(n, i), peak),
      ),
      h("td", f.count(x.n)),
      h("td", f.percent(all ? x.n / all : null)),
    );
  const heads = ["topic", "by_day", "messages_n", "share"].map((x) => h("th", { scope: "col" }, c.t(x)));
  return h("table.topicdays", h("thead", h("tr", heads)), h("tbody", items.map(row)));
}

/** One bar a day: the topic's share of that day's messages. */
function strip(c, x, days, share, peak) {
  const wide = 112,
    high = 22,
    w = Math.min(16, wide / Math.max(1, days.length));
  const said = days.map((day, i) => `${day} ${f.count(x.counts[i])} · ${f.percent(share(x.counts[i], i))}`);
  return s(
    "svg",
    {
      class: "daybars",
      width: wide,
      height: high,
      viewBox: `0 0 ${wide} ${high}`,
      role: "img",
      "aria-label": said.join("; "),
    },
    x.counts.map((n, i) => {
      const tall = n ? Math.max(1, ((share(n, i) ?? 0) / peak) * (high - 2)) : 0;
      return s(
        "rect",
        { class: "fill", x: i * w, y: high - 1 - tall, width: Math.max(1, w - 1.5), height: tall },
        s("title", {}, said[i]),
      );
    }),
    s("line", { class: "floor", x1: 0, x2: w * days.length, y1: high - 0.5, y2: high - 0.5 }),
  );
}

/** A day as people write it; what is none is left as it came. */
function dayOf(c, day) {
  const at = Date.parse(`${day}T12:00:00Z`);
  return Number.isNaN(at) ? day : f.date(at, "UTC", c.zh);
}

/** What was resolved, day by day. */
export function resolved(c, data) {
  const days = data.days ?? [];
  if (!days.length) return h("p.sub", c.t("no_cases"));
  const heads = ["day", "closed_n", "part_resolved", "resolution"].map((x) => h("th", { scope: "col" }, c.t(x)));
  const row = (x) =>
    h(
      "tr",
      { key: x.day },
      h("th", { scope: "row" }, dayOf(c, x.day)),
      h("td", f.count(x.closed)),
      h("td", f.count(x.resolved)),
      h(
        "td",
        { title: `n ${f.count(x.judged)}` },
        x.provisional ? d.mark("provisional", "", c.t("within_72h")) : null,
        " ",
        f.percent(x.resolution_rate),
      ),
    );
  return h("table.topicdays", h("thead", h("tr", heads)), h("tbody", [...days].reverse().map(row)));
}

const UNIT = { service_level: "ratio" };

/** What was restated: with both values where the feed still knows them, else how often. Newest first. */
export function changes(c, list, from, to) {
  const known = (c.key?.restated ?? [])
    .map((x) => ({ ...x, at: m.time(x.minute) }))
    .filter((x) => x.at >= from && x.at < to);
  if (!list.length && !known.length) return h("p.sub", c.t("nothing_restated"));
  const told = known.map((x) =>
    h(
      "li",
      { key: `${x.at} ${x.field}` },
      d.icon("restated"),
      h("b", clock(c, x.at)),
      h("span", `${c.t("m_" + x.field)} ${written(c, x.field, x.old)} → ${written(c, x.field, x.new)}`),
    ),
  );
  const often = list
    .slice(-MOST)
    .map((x) =>
      h(
        "li",
        { key: x.at },
        d.icon("restated"),
        h("b", clock(c, Date.parse(x.at))),
        h("span", c.t("restated_times", f.count(x.times))),
      ),
    );
  return [
    told.length ? h("ul.rest", { key: "known" }, told.reverse()) : null,
    often.length
      ? [h("p.sub", { key: "why" }, c.t("restated_often")), h("ul.rest", { key: "often" }, often.reverse())]
      : null,
  ];
}
const written = (c, field, x) => (given(x) ? inUnit(c, UNIT[field] ?? "count", x) : f.NONE);
