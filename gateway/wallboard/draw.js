// Drawings as SVG. Every size is an attribute; every colour a class.

import { h, s } from "./dom.js";
import * as f from "./forms.js";

export const SHAPES = {
  critical: () => s("path", { d: "M8 1.2 15.4 14.6H.6Z" }),
  warning: () => s("path", { d: "M8 .8 15.2 8 8 15.2.8 8Z" }),
  info: () => s("circle", { cx: 8, cy: 8, r: 6.4 }),
  ok: () =>
    s("path", {
      d: "M2.2 8.6 6.3 12.6 13.8 3.8",
      fill: "none",
      stroke: "currentColor",
      "stroke-width": 2.2,
      "stroke-linecap": "round",
      "stroke-linejoin": "round",
    }),
  live: () =>
    s("path", {
      d: "M1 9.5c2-3 3.5-3 5 0s3 3 5 0 3-2.4 4-1",
      fill: "none",
      stroke: "currentColor",
      "stroke-width": 2,
      "stroke-linecap": "round",
    }),
  stale: () => [
    s("rect", { x: 3, y: 2.5, width: 3.6, height: 11 }),
    s("rect", { x: 9.4, y: 2.5, width: 3.6, height: 11 }),
  ],
  provisional: () => [
    s("circle", { cx: 8, cy: 8, r: 6, fill: "none", stroke: "currentColor", "stroke-width": 1.8 }),
    s("path", { d: "M8 8V2a6 6 0 0 1 6 6Z" }),
  ],
  learning: () =>
    s("circle", {
      cx: 8,
      cy: 8,
      r: 6,
      fill: "none",
      stroke: "currentColor",
      "stroke-width": 2,
      "stroke-dasharray": "3 2.3",
    }),
  restated: () =>
    s("path", { d: "M8 2.2 13.8 8 8 13.8 2.2 8Z", fill: "none", stroke: "currentColor", "stroke-width": 2 }),
  silenced: () => [
    s("circle", { cx: 8, cy: 8, r: 6, fill: "none", stroke: "currentColor", "stroke-width": 2 }),
    s("path", { d: "M4 12 12 4", stroke: "currentColor", "stroke-width": 2 }),
  ],
  error: () => [
    s("rect", { x: 1.6, y: 1.6, width: 12.8, height: 12.8, fill: "none", stroke: "currentColor", "stroke-width": 1.8 }),
    s("path", { d: "M5 5l6 6M11 5l-6 6", stroke: "currentColor", "stroke-width": 1.8 }),
  ],
  up: () => s("path", { d: "M4 10l4-4 4 4", fill: "none", stroke: "currentColor", "stroke-width": 1.8 }),
  down: () => s("path", { d: "M4 6l4 4 4-4", fill: "none", stroke: "currentColor", "stroke-width": 1.8 }),
};
export const icon = (name) =>
  s("svg", { class: "icon i-" + name, viewBox: "0 0 16 16", "aria-hidden": "true" }, SHAPES[name]());
export const mark = (name, word, title) =>
  h("span.mark.m-" + name, { title: title ?? null }, icon(name), h("span", word));

export const wordmark = () =>
  h(
    "h1.word",
    s(
      "svg",
      { class: "logo", viewBox: "0 0 28 20", "aria-hidden": "true" },
      s("path", { d: "M0 12.5c3.5-4 6-4 9.3 0s6 4 9.4 0 5.8-4 9.3 0V20H0Z", class: "logowater" }),
      s("path", { d: "M14 14.6V2l6.5 3.2L14 8.4", class: "logomast" }),
    ),
    h("b", "Tidewatch"),
  );

const line = (points) => points.map(([x, y], i) => (i ? "L" : "M") + x.toFixed(1) + " " + y.toFixed(1)).join("");
const back = (points) => line([...points].reverse()).replace("M", "L");
const STEPS = [1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1000, 2000, 2500, 5000, 10000, 20000, 50000, 100000];

/** Unbroken stretches of what is known. */
function runs(data, known) {
  const out = [];
  let run = null;
  data.forEach((p, i) => {
    if (!known(p)) run = null;
    else if (run) run.push(i);
    else out.push((run = [i]));
  });
  return out.filter((r) => r.length > 1);
}

/** The tide: the usual level is water, the normal range its surface, what stands out of it is the excess. */
export function tide(data, o) {
  const { U, width, zh } = o,
    height = o.height * U,
    fs = (o.font ?? 12) * U;
  const x0 = (o.left ?? 34) * U,
    x1 = Math.max(x0 + 20, width - (o.right ?? 108) * U),
    top = (o.top ?? 14) * U,
    bottom = height - fs * 2.15;
  const svg = (...kids) =>
    s(
      "svg",
      {
        class: "tide" + (o.learning ? " guess" : ""),
        width,
        height,
        viewBox: `0 0 ${Math.round(width)} ${Math.round(height)}`,
        role: "img",
        "aria-label": o.label,
      },
      kids,
    );
  if (data.length < 2)
    return svg(
      s("line", { class: "floor", x1: x0, x2: x1, y1: bottom, y2: bottom }),
      s("text", { class: "axis", x: (x0 + x1) / 2, y: (top + bottom) / 2, "text-anchor": "middle" }, f.NONE),
    );
  const first = data[0].t,
    span = Math.max(1, (data[data.length - 1].t - first) / 60e3);
  const peak = Math.max(4, ...data.map((p) => Math.max(p.v ?? 0, p.hi ?? 0, o.arrivals ? (p.a ?? 0) : 0))) * 1.06,
    step = STEPS.find((n) => peak / n <= 4.6) ?? peak;
  const x = (time) => x0 + ((time - first) / 60e3 / span) * (x1 - x0),
    y = (v) => bottom - (v / peak) * (bottom - top),
    pts = (run, g) => run.map((i) => [x(data[i].t), y(g(data[i]))]);
  const kids = [];
  for (let v = step; v <= peak; v += step)
    kids.push(
      s("line", { class: "grid", x1: x0, x2: x1, y1: y(v), y2: y(v) }),
      s("text", { class: "axis", x: x0 - fs * 0.6, y: y(v) + fs * 0.36, "text-anchor": "end" }, f.count(v, zh)),
    );
  for (const run of runs(data, (p) => p.e !== null))
    kids.push(
      s("path", {
        class: "water",
        d: line(pts(run, (p) => p.e)) + `L${x(data[run[run.length - 1]].t)} ${bottom}L${x(data[run[0]].t)} ${bottom}Z`,
      }),
    );
  for (const run of runs(data, (p) => p.lo !== null && p.hi !== null))
    kids.push(s("path", { class: "bandfill", d: line(pts(run, (p) => p.hi)) + back(pts(run, (p) => p.lo)) + "Z" }));
  for (const run of runs(data, (p) => p.e !== null))
    kids.push(s("path", { class: "usual", d: line(pts(run, (p) => p.e)) }));
  const since = o.since ? Math.max(first, o.since) : null;
  if (since !== null && o.over) {
    const run = data
      .map((p, i) => i)
      .filter((i) => data[i].t >= since - 60e3 && data[i].v !== null && data[i].hi !== null);
    if (run.length > 1)
      kids.push(
        s("path", { class: "over", d: line(pts(run, (p) => Math.max(p.v, p.hi))) + back(pts(run, (p) => p.hi)) + "Z" }),
      );
  }
  if (o.arrivals)
    for (const run of runs(data, (p) => p.a !== null))
      kids.push(s("path", { class: "arrivals", d: line(pts(run, (p) => p.a)) }));
  for (const run of runs(data, (p) => p.v !== null))
    kids.push(s("path", { class: "seen", "stroke-width": (o.stroke ?? 1.8) * U, d: line(pts(run, (p) => p.v)) }));
  if (since !== null && o.sinceText) {
    const sx = x(since),
      end = sx > x0 + (x1 - x0) / 2;
    kids.push(
      s("line", { class: "since", x1: sx, x2: sx, y1: top, y2: bottom }),
      s(
        "text",
        { class: "sincetext", x: sx + (end ? -fs : fs) * 0.6, y: top + fs * 0.9, "text-anchor": end ? "end" : "start" },
        o.sinceText,
      ),
    );
  }
  restated(data, o, kids, { x, y, fs, U, x0, x1 });
  axis(kids, { first, last: data[data.length - 1].t, x, x0, x1, bottom, fs, U, o });
  const last = [...data].reverse().find((p) => p.v !== null);
  if (last)
    kids.push(
      s("circle", {
        class: o.over ? "head hot" : "head",
        cx: x(last.t),
        cy: y(last.v),
        r: (o.dot ?? 4) * U,
        "stroke-width": 2 * U,
      }),
    );
  if (last && !o.bare) kids.push(...now(last, o, { y, fs, U, tx: x1 + fs * 0.8, top, bottom }));
  return svg(kids);
}

function restated(data, o, kids, { x, y, fs, U, x0, x1 }) {
  const told = new Map((o.restated ?? []).map((r) => [r.minute, r])),
    marks = data.filter((p) => p.v !== null && told.has(p.t)).slice(-24);
  for (const p of marks) {
    const r = 5 * U,
      known = told.get(p.t);
    const word = o.t("restated_line", f.clock(p.t, o.zone), f.rate(known.old), f.rate(known.new));
    kids.push(
      s(
        "path",
        { class: "restated", d: `M${x(p.t).toFixed(1)} ${(y(p.v) - r).toFixed(1)}l${r} ${r}l${-r} ${r}l${-r} ${-r}Z` },
        s("title", {}, word),
      ),
    );
  }
  const p = marks[marks.length - 1];
  if (!p || o.bare || x(p.t) < x0 + fs * 4 || x(p.t) > x1 - fs * 8) return;
  const ry = y(Math.max(p.v, p.hi ?? 0)) - fs * 1.5;
  kids.push(
    s("line", { class: "leader", x1: x(p.t), x2: x(p.t), y1: ry + fs * 0.5, y2: y(p.v) - 5 * U }),
    s(
      "text",
      { class: "axis", x: x(p.t), y: ry, "text-anchor": "middle" },
      `${o.t("restated")} ${f.clock(p.t, o.zone)}`,
    ),
  );
}

/** A time scale in the manner of a chart's border: one block is ten minutes. */
function axis(kids, { first, last, x, x0, x1, bottom, fs, U, o }) {
  const bar = Math.max(3, 4 * U),
    ten = 600e3;
  kids.push(s("rect", { class: "scale", x: x0, y: bottom, width: x1 - x0, height: bar }));
  for (let m = Math.floor(first / ten) * ten; m < last; m += ten) {
    const a = Math.max(x0, x(m)),
      b = Math.min(x1, x(m + ten));
    if ((m / ten) % 2 === 0 && b > a)
      kids.push(s("rect", { class: "scaleon", x: a, y: bottom, width: b - a, height: bar }));
  }
  const every = (o.every ?? 30) * 60e3;
  for (let m = Math.ceil(first / every) * every; m <= last; m += every)
    if (x(m) > x0 + fs * 1.4 && x(m) < x1 - fs * 1.4)
      kids.push(
        s("text", { class: "axis", x: x(m), y: bottom + bar + fs * 1.15, "text-anchor": "middle" }, f.clock(m, o.zone)),
      );
}

/** The figures at the end of the line: now, and what is usual, kept apart from each other. */
function now(last, o, { y, fs, U, tx, top, bottom }) {
  const big = (o.big ?? 30) * U,
    value = o.value ?? last.v,
    vy = Math.min(Math.max(y(last.v) + big * 0.36, top + big * 0.75), bottom - fs * 4.4);
  const kids = [
    s("text", { class: o.over ? "nowv hot" : "nowv", x: tx, y: vy, "font-size": big }, f.rate(value)),
    s(
      "text",
      { class: "axis", x: tx, y: vy + fs * 1.35 },
      o.narrow ? o.t("per_min") : `${o.t("now")} · ${o.t("per_min")}`,
    ),
  ];
  if (o.expected === null || o.expected === undefined) return kids;
  const ey = Math.min(Math.max(y(o.expected), vy + fs * 3.1), bottom - fs * 1.3);
  kids.push(
    s("text", { class: "usualtext", x: tx, y: ey + fs * 0.2 }, `${o.t("usual")} ${f.rate(Math.round(o.expected))}`),
  );
  if (o.low !== null && o.high !== null && o.low !== undefined && o.high !== undefined)
    kids.push(
      s(
        "text",
        { class: "axis", x: tx, y: ey + fs * 1.5 },
        `${f.rate(Math.round(o.low))}–${f.rate(Math.round(o.high))}`,
      ),
    );
  return kids;
}

const mean = (list, g) => {
  const known = list.map(g).filter((v) => v !== null && v !== undefined);
  return known.length ? known.reduce((a, b) => a + b, 0) / known.length : null;
};

/** Three hours at a glance; four minutes to a point. */
export function spark(data, over, width = 112, height = 30) {
  const svg = (...kids) =>
    s("svg", { class: "spark", width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" }, kids);
  const view = [];
  for (let i = data.length % 4; i < data.length; i += 4) {
    const p = data.slice(i, i + 4);
    view.push({ v: mean(p, (q) => q.v), e: mean(p, (q) => q.e), lo: mean(p, (q) => q.lo), hi: mean(p, (q) => q.hi) });
  }
  if (view.length < 2) return svg();
  const peak = Math.max(1, ...view.map((p) => Math.max(p.v ?? 0, p.hi ?? 0))) * 1.05,
    x = (i) => (i / (view.length - 1)) * (width - 4) + 1,
    y = (v) => height - 2 - (v / peak) * (height - 4),
    pts = (run, g) => run.map((i) => [x(i), y(g(view[i]))]);
  const kids = [],
    seen = runs(view, (p) => p.v !== null);
  for (const run of runs(view, (p) => p.e !== null))
    kids.push(
      s("path", {
        class: "water",
        d: line(pts(run, (p) => p.e)) + `L${x(run[run.length - 1])} ${height}L${x(run[0])} ${height}Z`,
      }),
    );
  for (const run of runs(view, (p) => p.lo !== null && p.hi !== null)) {
    kids.push(s("path", { class: "bandfill", d: line(pts(run, (p) => p.hi)) + back(pts(run, (p) => p.lo)) + "Z" }));
    if (over)
      kids.push(
        s("path", {
          class: "over",
          d: line(pts(run, (p) => Math.max(p.v ?? 0, p.hi))) + back(pts(run, (p) => p.hi)) + "Z",
        }),
      );
  }
  for (const run of seen) kids.push(s("path", { class: "seen", "stroke-width": 1.2, d: line(pts(run, (p) => p.v)) }));
  const end = seen.length ? seen[seen.length - 1] : null;
  if (end)
    kids.push(
      s("circle", {
        class: over ? "head hot" : "head",
        cx: x(end[end.length - 1]),
        cy: y(view[end[end.length - 1]].v),
        r: 2.2,
        "stroke-width": 1,
      }),
    );
  return svg(kids);
}

const EDGES = { zh: ["1分", "5分", "15分", "1小时", "1天"], en: ["1m", "5m", "15m", "1h", "1d"] };

/** The names of the six age bands. */
export function bands(t, zh) {
  const edges = EDGES[zh ? "zh" : "en"];
  return [t("lt1"), ...edges.slice(1).map((e, i) => `${edges[i]}–${e}`), t("gt1d")];
}

/** Age bands as columns; the limits stand between them, like marks on a gauge. */
export function ages(counts, o) {
  const { U, width, zh } = o,
    height = o.height * U,
    fs = (o.font ?? 12) * U,
    floor = height - fs * 1.5,
    gap = 3 * U,
    w = width / 6,
    top = fs * 1.3;
  const peak = Math.max(1, ...counts),
    edges = EDGES[zh ? "zh" : "en"],
    names = bands(o.t, zh);
  const kids = counts.map((n, i) => {
    const tall = n ? Math.max(3 * U, (n / peak) * (floor - top)) : 0;
    return [
      s("rect", { class: "age a" + i, x: i * w + gap / 2, y: floor - tall, width: w - gap, height: tall }),
      s(
        "text",
        { class: n ? "agen" : "agen zero", x: i * w + w / 2, y: floor - tall - fs * 0.35, "text-anchor": "middle" },
        f.count(n, zh, true),
      ),
      i < 5
        ? [
            s("line", { class: "tick", x1: (i + 1) * w, x2: (i + 1) * w, y1: floor, y2: floor + fs * 0.35 }),
            s("text", { class: "axis", x: (i + 1) * w, y: floor + fs * 1.4, "text-anchor": "middle" }, edges[i]),
          ]
        : null,
    ];
  });
  return s(
    "svg",
    {
      class: "ages",
      width,
      height,
      viewBox: `0 0 ${Math.round(width)} ${Math.round(height)}`,
      role: "img",
      "aria-label": o.t("age_bands") + ": " + counts.map((n, i) => `${names[i]} ${n}`).join(", "),
    },
    kids,
    s("line", { class: "floor", x1: 0, x2: width, y1: floor, y2: floor }),
  );
}

/** A level with its limit as an upright mark. */
export function gauge(x, target, o = {}) {
  const max = o.max || 1,
    at = (v) => Math.max(0, Math.min(100, (v / max) * 100));
  return s(
    "svg",
    { class: "gauge", viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" },
    s("rect", { class: "trough", x: 0, y: 2, width: 100, height: 4 }),
    x === null || x === undefined
      ? null
      : s("rect", { class: "fill " + (o.tone ?? ""), x: 0, y: 2, width: at(x), height: 4 }),
    target === null || target === undefined
      ? null
      : s("rect", { class: "target", x: Math.min(99.3, at(target)) - 0.3, y: 0, width: 0.7, height: 8 }),
  );
}

export const bar = (share, over) =>
  s(
    "svg",
    { class: "dbar", viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" },
    s("rect", { class: "trough", width: 100, height: 6 }),
    s("rect", { class: over ? "over" : "fill", width: Math.max(0, Math.min(100, share * 100)), height: 6 }),
  );

/** One square per agent, filled by what is held of what is allowed. */
export function seats(agents, across = 14) {
  const rows = Math.max(1, Math.ceil(agents.length / across));
  return s(
    "svg",
    { class: "slotmap", viewBox: `0 0 ${across * 20} ${rows * 21 - 1}`, "aria-hidden": "true" },
    agents.map((a, i) => {
      const x = (i % across) * 20 + 0.5,
        y = Math.floor(i / across) * 21 + 0.5,
        known = a.capacity !== null && a.capacity !== undefined,
        part = known ? (a.capacity ? Math.min(1, a.open / a.capacity) : a.open ? 1 : 0) : 0;
      return [
        s("rect", { class: "seat st-" + a.status, x, y, width: 17, height: 17 }),
        part
          ? s("rect", { class: "held st-" + a.status, x, y: y + 17 * (1 - part), width: 17, height: 17 * part })
          : null,
        known ? null : s("path", { class: "seat", d: `M${x} ${y + 17}l17-17` }),
      ];
    }),
  );
}

/** All queues on one screen, one square each, worst first. */
export function squares(levels, o) {
  const per = Math.max(8, Math.floor(o.width / (17 * o.U))),
    rows = Math.ceil(levels.length / per),
    c = o.width / per,
    m = c - 3;
  return s(
    "svg",
    {
      class: "qmap",
      width: o.width,
      height: rows * c,
      viewBox: `0 0 ${Math.round(o.width)} ${Math.round(rows * c)}`,
      role: "img",
      "aria-label": o.label,
    },
    levels.map(([n, name], i) => {
      const x = (i % per) * c,
        y = Math.floor(i / per) * c;
      return [
        s("rect", { class: "hc h" + n, x, y, width: m, height: m, onclick: () => o.open(i) }, s("title", {}, name)),
        n > 1
          ? s(
              "g",
              {
                class: "qm h" + n,
                transform: `translate(${(x + m * 0.2).toFixed(1)} ${(y + m * 0.2).toFixed(1)}) scale(${((m * 0.6) / 16).toFixed(3)})`,
              },
              SHAPES[n === 3 ? "critical" : "warning"](),
            )
          : null,
      ];
    }),
  );
}

const SECOND = 1000,
  MARKS = {
    ms: [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 86400].map((x) => x * SECOND),
    ratio: [0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5],
    score: [0.1, 0.2, 0.5],
  };

/** One number over a period: a line; a lone point is a dot; the usual level and range behind it where there are any. */
export function course(points, o) {
  const U = o.U,
    fs = 12 * U,
    height = o.height * U,
    x0 = 64 * U,
    x1 = o.width - 12 * U,
    top = 12 * U,
    bottom = height - fs * 2.2;
  const first = points[0].t,
    last = Math.max(first + o.step, points[points.length - 1].t),
    peak = Math.max(1e-9, ...points.map((p) => Math.max(p.v ?? 0, p.hi ?? 0))) * 1.06,
    low = Math.min(0, ...points.map((p) => p.v ?? 0));
  const x = (t) => x0 + ((t - first) / (last - first)) * (x1 - x0),
    y = (v) => bottom - ((v - low) / (peak - low)) * (bottom - top),
    pts = (run, g) => run.map((i) => [x(points[i].t), y(g(points[i]))]),
    kids = [];
  const step =
    MARKS[o.unit]?.find((n) => (peak - low) / n <= 5) ?? STEPS.find((n) => (peak - low) / n <= 5) ?? peak / 4;
  for (let v = Math.ceil(low / step + 1e-9) * step; v <= peak; v += step)
    kids.push(
      s("line", { class: "grid", x1: x0, x2: x1, y1: y(v), y2: y(v) }),
      s("text", { class: "axis", x: x0 - fs * 0.5, y: y(v) + fs * 0.36, "text-anchor": "end" }, o.write(v)),
    );
  for (const run of runs(points, (p) => p.lo !== null && p.hi !== null))
    kids.push(s("path", { class: "bandfill", d: line(pts(run, (p) => p.hi)) + back(pts(run, (p) => p.lo)) + "Z" }));
  for (const run of runs(points, (p) => p.e !== null))
    kids.push(s("path", { class: "usual", d: line(pts(run, (p) => p.e)) }));
  for (const run of runs(points, (p) => p.v !== null))
    kids.push(s("path", { class: "seen", "stroke-width": 1.6 * U, d: line(pts(run, (p) => p.v)) }));
  points.forEach((p, i) => {
    if (p.v !== null && (points[i - 1]?.v ?? null) === null && (points[i + 1]?.v ?? null) === null)
      kids.push(s("circle", { class: "msg who-customer", cx: x(p.t), cy: y(p.v), r: 2 * U }));
  });
  kids.push(s("line", { class: "floor", x1: x0, x2: x1, y1: bottom, y2: bottom }));
  const every =
    [36e5, 2 * 36e5, 3 * 36e5, 6 * 36e5, 864e5, 2 * 864e5, 3 * 864e5, 7 * 864e5].find(
      (n) => (last - first) / n <= (x1 - x0) / (76 * U),
    ) ?? 14 * 864e5;
  const day = every >= 864e5,
    begin = day ? first : Math.ceil(first / every) * every;
  for (let t = begin; t <= last; t += every)
    kids.push(
      s(
        "text",
        {
          class: "axis",
          x: Math.min(Math.max(x(t), x0), x1 - 22 * U),
          y: bottom + fs * 1.5,
          "text-anchor": x(t) < x0 + 20 * U ? "start" : "middle",
        },
        day ? f.date(t + 36e5, o.zone, o.zh).replace(/^\d{4} 年 | \d{4}$/g, "") : f.clock(t, o.zone),
      ),
    );
  return s(
    "svg",
    {
      class: "course",
      width: o.width,
      height,
      viewBox: `0 0 ${Math.round(o.width)} ${Math.round(height)}`,
      role: "img",
      "aria-label": o.label,
    },
    kids,
  );
}
