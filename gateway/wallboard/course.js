// The course of one number over a period.

import { s } from "./dom.js";
import * as f from "./forms.js";
import { STEPS, back, line, runs } from "./lines.js";

const SECOND = 1000,
  MARKS = {
    ms: [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 86400].map((x) => x * SECOND),
    ratio: [0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5],
    score: [0.1, 0.2, 0.5],
  };

/** A link as high as the drawing over one step, with its value; its dot shows under the pointer. */
const point = (to, x, y, width, [top, bottom], i) =>
  s(
    "a",
    { ...to.attrs, class: "step", "data-step": i },
    s("title", {}, to.title),
    s("rect", { class: "reach", x: x - width / 2, y: top, width, height: bottom - top }),
    s("circle", { class: "dot", cx: x, cy: y, r: 3 }),
  );

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
  if (o.open)
    points.forEach((p, i) => {
      if (p.v !== null) kids.push(point(o.open(p), x(p.t), y(p.v), (x1 - x0) / points.length, [top, bottom], i));
    });
  kids.push(s("line", { class: "floor", x1: x0, x2: x1, y1: bottom, y2: bottom }));
  const every =
    [36e5, 2 * 36e5, 3 * 36e5, 6 * 36e5, 864e5, 2 * 864e5, 3 * 864e5, 7 * 864e5].find(
      (n) => (last - first) / n <= (x1 - x0) / (98 * U),
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
      role: o.open ? "group" : "img",
      "aria-label": o.label,
    },
    kids,
  );
}
