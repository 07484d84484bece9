// The tide, and the ages of the backlog: the two large drawings with what stands around them.

import { h } from "./dom.js";
import * as d from "./draw.js";
import * as f from "./forms.js";
import * as m from "./model.js";
import { LEVEL, aging, clock, crossed, dur, given, label, number, tone, volumeMark } from "./say.js";
import { value } from "./tiles.js";

export function tidePanel(c, o) {
  const key = m.tideKey(c.state, c.tenant, c.ui.queue, c.ui.channel, c.summed),
    v = key?.volume ?? {},
    name = c.summed && key === c.summed.sum ? c.summed.name : label(c, "queue", key?.queue ?? c.ui.queue),
    data = m.flowing(m.panes(key, c.at, o.minutes), key, c.at),
    size = c.size("tide");
  const odd = v.surge || v.lull,
    state = v.surge ? c.t("surge") : v.lull ? c.t("lull") : given(v.expected) ? c.t("normal") : c.t("unknown_range");
  const since = odd && v.since ? Date.parse(v.since) : null,
    spoken = c.t("tide_label", name, f.rate(v.rate_per_min), f.rate(v.expected), state);
  const legend = [
    ["lg-seen", "l_seen", true],
    ["lg-usual", "l_usual", given(v.expected)],
    ["lg-band", "range", given(v.low)],
    ["lg-over", "l_over", v.surge],
    ["lg-arr", "l_arrivals", c.ui.arrivals],
  ];
  const restated = (key?.restated ?? [])
    .filter((r) => r.field === "customer_messages")
    .map((r) => ({ ...r, minute: m.time(r.minute) }));
  const drawing = d.tide(data, {
    height: size.height / c.U,
    ...o,
    U: c.U,
    width: size.width,
    t: c.t,
    zh: c.zh,
    zone: c.zone,
    label: spoken,
    over: v.surge,
    since,
    sinceText: since ? `${v.surge ? c.t("surge") : c.t("lull")} ${c.t("since", clock(c, since))}` : null,
    restated,
    value: v.rate_per_min,
    expected: v.expected,
    low: v.low,
    high: v.high,
    learning: v.learning,
    arrivals: c.ui.arrivals,
  });
  const silent = key && !odd && !v.learning && !given(v.expected) ? h("span.sub", c.t("unknown_range")) : null;
  return h(
    "section.panel.tidepanel",
    h(
      "div.phead",
      h(
        "h2",
        number(c, { of: "customer_messages", at: key?.queue ?? "*" }, "", {}, `${name} · ${c.t("messages_min")}`),
        h("small", ` ${c.t("per_min")}`),
      ),
      volumeMark(c, v, c.view === "tv" && !odd),
      silent,
      h("span.gap"),
      o.legend
        ? h(
            "ul.legend",
            legend.filter(([, , on]) => on).map(([k, id]) => h("li", { key: id }, h("i." + k), c.t(id))),
          )
        : null,
      o.legend
        ? [
            h(
              "button.plain",
              { key: "arr", type: "button", "aria-pressed": String(!!c.ui.arrivals), onclick: c.do.arrivals },
              c.t("l_arrivals"),
            ),
            h(
              "button.plain",
              { key: "tab", type: "button", "aria-pressed": String(!!c.ui.table), onclick: c.do.table },
              c.t(c.ui.table ? "chart" : "table"),
            ),
          ]
        : null,
    ),
    planned(c),
    h(
      "div.draw",
      { key: "tide", "data-measure": "tide" },
      c.ui.table && o.legend ? paneTable(c, m.panes(key, c.at), restated) : c.state.ready ? drawing : null,
    ),
  );
}

function planned(c) {
  const all = c.state.events.filter((e) => e.tenant === c.tenant);
  return all.length && c.view !== "tv"
    ? h(
        "p.sub.planned",
        all
          .slice(0, 3)
          .map((e) =>
            h("span", c.t("event", e.name, clock(c, Date.parse(e.from)), clock(c, Date.parse(e.to)), f.rate(e.factor))),
          ),
      )
    : null;
}

/** The same as figures, newest first. */
function paneTable(c, data, restated) {
  const heads = ["time", "messages_min", "l_arrivals", "usual", "range", "restated"].map((x) =>
    h("th", { scope: "col" }, c.t(x)),
  );
  const told = new Map(restated.map((r) => [r.minute, r])),
    range = (p) => (p.lo === null ? f.NONE : `${f.rate(p.lo)}–${f.rate(p.hi)}`);
  const change = (p) =>
    told.has(p.t) ? [d.icon("restated"), ` ${f.rate(told.get(p.t).old)} → ${f.rate(told.get(p.t).new)}`] : "";
  const rows = [...data].reverse().map((p) =>
    h(
      "tr",
      { key: p.t },
      h("th", { scope: "row" }, clock(c, p.t)),
      [f.rate(p.v), f.rate(p.a), f.rate(p.e), range(p), change(p)].map((x) => h("td", x)),
    ),
  );
  return h(
    "div.panes",
    { tabindex: "0", role: "region", "aria-label": c.t("table") },
    h("table", h("thead", h("tr", heads)), h("tbody", rows)),
  );
}

export function backlogPanel(c, o) {
  const key = c.key,
    g = m.figures(key, c.ui.window),
    oldest = aging(c, g.oldest.value),
    T = f.round(key?.targets?.target_ms, c.zh),
    facts = [
      [c.t("oldest"), dur(c, oldest), m.level(key, "oldest_ms", oldest)],
      [c.t("over_t", T), f.count(key?.over_target), 0],
      [c.t("unassigned"), f.count(key?.unassigned), g.unassigned.level],
    ];
  return h(
    "section.panel.backlog",
    h(
      "div.phead",
      h("h2", c.t("backlog")),
      h("small.sub", c.t("waiting_for")),
      h("span.gap"),
      crossed(c, key, "backlog", g.backlog.level, (x) => f.count(x)),
    ),
    h(
      "div.brow",
      h(
        "div.value" + (g.backlog.level > 1 ? "." + tone(g.backlog.level) : ""),
        { "data-of": "backlog" },
        value(key ? [[f.count(g.backlog.value, c.zh, true), null]] : null, { loading: !c.state.ready }),
      ),
      h(
        "dl.facts",
        facts.map(([a, b, n]) =>
          h("div" + (n > 1 ? "." + tone(n) : ""), { key: a }, h("dt", a), h("dd", n > 1 ? d.icon(LEVEL[n]) : null, b)),
        ),
      ),
    ),
    o.bare
      ? null
      : h(
          "div.draw",
          { key: "ages", "data-measure": "ages" },
          d.ages(key?.ages ?? [0, 0, 0, 0, 0, 0], {
            height: c.size("ages").height / c.U,
            ...o,
            U: c.U,
            width: c.size("ages").width,
            zh: c.zh,
            t: c.t,
          }),
        ),
  );
}

/** Three hours of a queue; drawn anew once a minute, or when something in it changed by as much as is seen. */
export function little(c, k, width, height) {
  if (!k.series) return c.kept(`spark ${width}`, height, () => d.spark([], false, width, height));
  const of = `${Math.floor(c.at / 60e3)} ${k.volume?.surge} ${width}`,
    rate = k.volume?.rate_per_min ?? -1,
    was = k.series.drawn;
  if (was?.of === of && (was.rate === rate || Math.abs(was.rate - rate) < was.step)) return was.node;
  const data = m.flowing(m.panes(k, c.at), k, c.at),
    peak = Math.max(1, ...data.map((p) => Math.max(p.v ?? 0, p.hi ?? 0)));
  const step = rate < 0 ? 0 : (peak * 2) / height; // the newest of a point's four minutes: half a pixel
  k.series.drawn = { of, rate, step, node: d.spark(data, k.volume?.surge, width, height) };
  return k.series.drawn.node;
}
