// Small drawings: ages, levels against their limits, seats, the square map.

import { s } from "./dom.js";
import * as f from "./forms.js";
import { SHAPES } from "./shapes.js";

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
