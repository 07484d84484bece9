// The tide: the usual level is water, the normal range its surface. Every size is an attribute; every colour a class.

import { s } from "./dom.js";
import * as f from "./forms.js";
import { STEPS, back, line, runs } from "./lines.js";

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
