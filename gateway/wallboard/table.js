// The queues: the table with its levels, the square map of very many, the list on a phone.

import { h, s } from "./dom.js";
import * as d from "./draw.js";
import * as f from "./forms.js";
import * as m from "./model.js";
import { LEVEL, aging, dur, given, label, number, opens, tone, volumeMark } from "./say.js";
import { little } from "./tides.js";

const cls = (...names) => names.filter(Boolean).join(" ");
const FEW = 20;

/** One figure of a queue. `o.n`: the cases it rests on; with few of them it has no colour, and says how few. */
function cell(c, k, metric, raw, text, o = {}) {
  const lv = m.level(k, metric, raw, o.n ?? null),
    thin = given(o.n) && given(raw) && o.n < FEW;
  const inner = [
    o.before ?? null,
    lv > 1 ? [d.icon(LEVEL[lv]), h("span.quiet", c.t(LEVEL[lv]))] : null,
    h("span", text),
  ];
  return h(
    "td.num" + (lv ? ".heat" + lv : ""),
    figure(c, k, o.of ?? metric, raw, inner),
    o.after ?? (thin ? h("small", "n " + f.count(o.n)) : null),
  );
}

/** A number of a row: a link, reached from its row with the arrow keys so that Tab goes from row to row. */
function figure(c, k, of, raw, inner) {
  return given(raw)
    ? number(c, { of, at: k.queue }, ".cell", { tabindex: opens(c) ? "-1" : null, "data-cell": of }, inner)
    : h("span.cell", inner);
}

function rate(c, k) {
  const v = k.volume ?? {},
    odd = v.surge || v.lull;
  const inner = [
    odd ? [d.icon(v.surge ? "critical" : "warning"), h("span.quiet", c.t(v.surge ? "surge" : "lull"))] : null,
    h("span", f.rate(v.rate_per_min)),
  ];
  return h(
    "td.num" + (v.surge ? ".heat3" : v.lull ? ".heat2" : ""),
    figure(c, k, "customer_messages", v.rate_per_min, inner),
    h("small", f.rate(given(v.expected) ? Math.round(v.expected) : null)),
  );
}

const firstReply = (c, k, w) => {
  const km = w?.frt_p90_km_ms,
    text = given(km) ? (w.frt_p90_km_censored ? ">" : "") + dur(c, km) : f.NONE;
  return cell(c, k, "frt_p90_km_ms", km, text, { n: w?.frt_km_n });
};
const serviceLevel = (c, k, w) => {
  const sure = w?.provisional && w.service_level !== null ? d.icon("provisional") : null;
  return cell(c, k, "service_level", w?.service_level, f.percent(w?.service_level), {
    n: m.judged(w),
    after: h("small", "n " + f.count(m.judged(w))),
    before: sure,
  });
};

/** Metric → the id it is sorted by, its word, what stands small under it, and its cell. */
const COLUMNS = {
  customer_messages: ["rate", "rate", "usual", (c, k) => rate(c, k)],
  backlog: ["backlog", "backlog", null, (c, k) => cell(c, k, "backlog", k.backlog, f.count(k.backlog))],
  oldest_ms: [
    "oldest",
    "oldest",
    null,
    (c, k) => cell(c, k, "oldest_ms", aging(c, k.oldest_ms), dur(c, aging(c, k.oldest_ms))),
  ],
  unassigned: [
    "unassigned",
    "unassigned",
    null,
    (c, k) => cell(c, k, "unassigned", k.unassigned, f.count(k.unassigned)),
  ],
  frt_p90_km_ms: ["frt", "frt90_short", null, firstReply],
  service_level: ["sl", "sl", "n", serviceLevel],
  abandon_rate: [
    "abandon",
    "abandon_short",
    null,
    (c, k, w) => cell(c, k, "abandon_rate", w?.abandon_rate, f.percent(w?.abandon_rate), { n: m.left(w) }),
  ],
  sentiment: [
    "sentiment",
    "sentiment",
    null,
    (c, k) => cell(c, k, "sentiment", k.sentiment, f.mood(k.sentiment), { n: k.sentiment_n }),
  ],
};
const SHARES = new Set(["connect", "answered_only", "csat", "csat_low", "csat_high"]);

/** A column of a board that is none of the usual ones: the number as it stands in the key or its window. */
function other(metric) {
  const write = (c, x) => (metric.endsWith("_ms") ? dur(c, x) : SHARES.has(metric) ? f.percent(x) : f.rate(x));
  return [
    null,
    "part_" + metric,
    null,
    (c, k, w) => cell(c, k, metric, k[metric] ?? w?.[metric], write(c, k[metric] ?? w?.[metric] ?? null)),
  ];
}
const columns = (c) =>
  (c.board?.table?.length ? c.board.table : Object.keys(COLUMNS)).map((metric) => [
    metric,
    ...(COLUMNS[metric === "rate_per_min" ? "customer_messages" : metric] ?? other(metric)),
  ]);

/** Key → its row as it was last described. */
const described = new WeakMap();

/** All that every row hangs on beside its key: what was chosen, the language, the board, who looks. */
const chosen = (c) => JSON.stringify([c.link({}), c.lang, c.view, opens(c), c.board?.version, c.board?.table]);

/** A row, described anew only where something in it is another: most frames change few of many. */
function row(c, k, o, i) {
  const spark = little(c, k, 112, 30),
    oldest = aging(c, k.oldest_ms),
    of = `${o.chosen} ${o.from + i} ${dur(c, oldest)} ${m.level(k, "oldest_ms", oldest)}`,
    was = described.get(k);
  if (was?.of === of && was.spark === spark && was.labels === c.state.labels) return was.node;
  const node = describe(c, k, o, i, spark);
  described.set(k, { of, spark, labels: c.state.labels, node });
  return node;
}

function describe(c, k, o, i, spark) {
  const w = k.windows?.[c.ui.window],
    name = label(c, "queue", k.queue);
  return h(
    "tr",
    {
      key: k.id,
      tabindex: "0",
      "data-row": k.queue,
      class: cls(k.volume?.surge && "hotrow", c.ui.queue === k.queue && "chosen"),
      "aria-rowindex": o.from + i + 2,
      onclick: (event) => event.target.closest("a") || c.do.queue(k.queue),
      onkeydown: walk,
    },
    h("th.name", { scope: "row" }, h("span.nametext", { title: name }, name), volumeMark(c, k.volume, true)),
    h("td.sp", spark),
    columns(c).map(([, , , , draw]) => draw(c, k, w)),
  );
}

/** Left and right go through the numbers of a row. */
export function walk(event) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key],
    cells = [...event.currentTarget.querySelectorAll("[data-cell]")];
  if (!step || !cells.length) return;
  const at = cells.indexOf(document.activeElement) + step;
  event.preventDefault();
  (at < 0 ? event.currentTarget : cells[Math.min(at, cells.length - 1)]).focus();
}

const RISING = new Set(["sl", "sentiment", "name"]);

/** A column's head: its word, and where one can sort by it the button for that. */
function heading(c, id, word, sub, spec) {
  const back = c.ui.sort.startsWith("-"),
    on = id && c.ui.sort.replace("-", "") === id,
    name = c.t(word) === word ? word.replace("part_", "") : c.t(word);
  const text = [
    h("span", name, on ? d.icon(back ? "up" : "down") : null),
    sub ? h("small", sub === "n" ? "n" : c.t(sub)) : null,
  ];
  const attrs = {
    key: word,
    scope: "col",
    "aria-sort": on ? (back !== RISING.has(id) ? "ascending" : "descending") : null,
  };
  return h(
    "th" + spec,
    attrs,
    id
      ? h(
          "button.sort",
          { type: "button", title: id === "sentiment" ? c.t("mood_scale") : null, onclick: () => c.do.sort(id) },
          text,
        )
      : text,
  );
}

export function table(c, ids, o) {
  const all = columns(c),
    seen = { ...o, chosen: chosen(c) },
    head = [
      heading(c, "name", "queue", null, ".name"),
      heading(c, null, "trend", null, ".sp"),
      all.map(([, id, word, sub]) => heading(c, id, word, sub, ".num")),
    ];
  const gap = (n, key) =>
    n > 0
      ? h(
          "tr.spacer",
          { key, "aria-hidden": "true" },
          h("td", { colspan: all.length + 2 }, s("svg", { width: 1, height: n * o.high })),
        )
      : null;
  return h(
    "table.queues",
    {
      "aria-rowcount": o.total + 1,
      "data-table": "",
      onpointerenter: () => c.do.hold(true),
      onpointerleave: () => c.do.hold(false),
    },
    h("caption.quiet", c.t("queue")),
    h("thead", h("tr", head)),
    h(
      "tbody",
      { "data-rows": "" },
      gap(o.from, "\u0000above"),
      ids.slice(o.from, o.to).map((id, i) => (c.state.keys.has(id) ? row(c, c.state.keys.get(id), seen, i) : null)),
      gap(ids.length - o.to, "\u0000below"),
    ),
  );
}

export function map(c, rows) {
  const sorted = m.sorted(rows, "worst", c.ui.window, (k) => k.queue),
    squares = sorted.map((k) => [m.worstLevel(k), label(c, "queue", k.queue)]),
    width = c.size("map").width,
    many = (n) => rows.filter((k) => m.worstLevel(k) === n).length,
    tally = c.t("tally", many(3), many(2), many(1), many(0));
  return h(
    "section.panel",
    { key: "map" },
    h("div.phead", h("h2", c.t("squares")), h("span.gap"), h("small.sub", tally)),
    h(
      "div.draw",
      { key: "map", "data-measure": "map" },
      c.kept("map", JSON.stringify([squares, width, c.U, c.lang]), () =>
        d.squares(squares, {
          U: c.U,
          width,
          label: `${c.t("squares")}: ${tally}`,
          open: (i) => c.do.queue(sorted[i].queue),
        }),
      ),
    ),
  );
}

export function phoneList(c, ids, button) {
  return h(
    "section.panel.qlist",
    h(
      "div.phead",
      h("h2", c.t("queue")),
      h("small.sub", c.t("worst")),
      h("span.gap"),
      h("small.sub", `${c.t("backlog")} · ${c.t("oldest")}`),
      button,
    ),
    h(
      "ul",
      ids.slice(0, 60).map((id) => {
        const k = c.state.keys.get(id);
        if (!k) return null;
        const n = m.worstLevel(k);
        return h(
          "li" + (n > 1 ? "." + tone(n) : ""),
          { key: id },
          h(
            "span.qname",
            n > 1 ? [d.icon(LEVEL[n]), h("span.quiet", c.t(LEVEL[n]))] : null,
            h("span.qlabel", label(c, "queue", k.queue)),
            k.volume?.surge || k.volume?.lull
              ? volumeMark(c, k.volume, true)
              : k.volume?.learning
                ? d.mark("learning", c.t("learning"))
                : null,
          ),
          little(c, k, 84, 26),
          number(
            c,
            { of: "backlog", at: k.queue },
            ".qnum",
            { "aria-label": `${label(c, "queue", k.queue)} ${c.t("backlog")} ${f.count(k.backlog)}` },
            h("b", f.count(k.backlog)),
          ),
          number(
            c,
            { of: "oldest_ms", at: k.queue },
            ".qold",
            { "aria-label": `${label(c, "queue", k.queue)} ${c.t("oldest")} ${dur(c, aging(c, k.oldest_ms))}` },
            dur(c, aging(c, k.oldest_ms)),
          ),
        );
      }),
    ),
    ids.length > 60 ? h("p.sub", c.t("more", ids.length - 60)) : null,
  );
}
