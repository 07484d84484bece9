// The waits of one episode, drawn to scale.

import { s } from "./dom.js";
import * as f from "./forms.js";
import { clock, dur, given } from "./say.js";

/** An instant in ms; null: there is none. */
export const at = (text) => (text ? Date.parse(text) : null);

const ROWS = [
  ["w_first", "wait-first", ["first_reply"]],
  ["w_queue", "wait-queue", ["queue", "queue_before_d"]],
  ["w_bot", "wait-bot", ["bot"]],
  ["w_reply", "wait-reply", ["reply"]],
];
const STEPS = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400, 172800, 604800].map(
  (x) => x * 1000,
);

export function waits(c, e, data) {
  const U = c.U,
    width = c.size("waits").width,
    fs = 12 * U,
    left = 92 * U,
    right = width - 46 * U,
    rh = 30 * U;
  const events = (data.events ?? []).filter((x) => x.episode === e.episode && x.at),
    moments = [
      ...(e.waits ?? []).flatMap((w) => [at(w.from), at(w.to)]),
      ...events.map((x) => at(x.at)),
      at(e.opened_at),
      e.waiting ? at(data.as_of) : null,
    ].filter(given);
  const from = Math.min(...moments),
    to = Math.max(from + 1000, ...moments),
    pad = (to - from) * 0.03,
    x = (t) => left + ((t - from + pad) / (to - from + 2 * pad)) * (right - left);
  const marks = instants(c, e, { x, left, right }),
    top = (marks.some((mark) => mark.raised) ? 42 : 30) * U,
    base = top + ROWS.length * rh + 8 * U,
    height = base + 44 * U;
  const step = STEPS.find((n) => (to - from) / n <= Math.max(2, (right - left) / (64 * U))) ?? STEPS[STEPS.length - 1],
    day = to - from > 864e5,
    kids = [];
  for (let t = Math.ceil((from - pad) / step) * step; t <= to + pad; t += step)
    kids.push(
      s("line", { class: "grid", x1: x(t), x2: x(t), y1: top - 6 * U, y2: base }),
      s(
        "text",
        {
          class: "axis",
          x: Math.min(Math.max(x(t), left + 14 * U), right - 16 * U),
          y: base + 36 * U,
          "text-anchor": "middle",
        },
        f.clock(t, c.zone, { zh: c.zh, seconds: step < 60e3, today: day ? 0 : null }),
      ),
    );
  ROWS.forEach(([word, cls, kinds], i) =>
    kids.push(...bars(c, e, data, { y: top + i * rh, word, cls, kinds, x, right })),
  );
  kids.push(
    ...marks.map((mark) => upright(c, mark, top, base)),
    s("rect", { class: "scale", x: left, y: base, width: right - left, height: 4 * U }),
  );
  for (let t = Math.floor((from - pad) / step) * step; t < to + pad; t += step)
    if ((t / step) % 2 === 0)
      kids.push(
        s("rect", {
          class: "scaleon",
          x: Math.max(left, x(t)),
          y: base,
          width: Math.max(0, Math.min(right, x(t + step)) - Math.max(left, x(t))),
          height: 4 * U,
        }),
      );
  kids.push(
    ...events
      .filter((v) => v.kind === "message")
      .map((v) =>
        s(
          "circle",
          { class: "msg who-" + v.role, cx: x(at(v.at)), cy: base + 14 * U, r: 4 * U },
          s("title", {}, `${c.t("who_" + v.role)} ${clock(c, at(v.at), true)}`),
        ),
      ),
  );
  return s(
    "svg",
    {
      class: "waits",
      width,
      height,
      viewBox: `0 0 ${Math.round(width)} ${Math.round(height)}`,
      role: "img",
      "aria-label": spoken(c, e, data),
      "font-size": fs,
    },
    kids,
  );
}

const length = (w, data) => w.ms ?? Math.max(0, (at(w.to) ?? at(data.as_of) ?? at(w.from)) - at(w.from));

function bars(c, e, data, { y, word, cls, kinds, x, right }) {
  const U = c.U,
    mine = (e.waits ?? []).filter((w) => kinds.includes(w.kind)),
    name = s("text", { class: "rowname", x: 0, y: y + 15 * U }, c.t(word));
  const begins = mine.map((w) => x(at(w.from)));
  let free = -Infinity;
  return [
    name,
    ...mine.map((w, i) => {
      const xa = x(at(w.from)),
        xb = Math.min(right, Math.max(xa + 3 * U, x(at(w.to) ?? at(data.as_of) ?? at(w.from)))),
        text = dur(c, length(w, data)),
        wide = text.length * (c.zh ? 10 : 8) * U,
        inside = xb - xa > wide + 12 * U && cls !== "wait-bot",
        before = !inside && xb + wide > right + 46 * U;
      const next = begins[i + 1] ?? Infinity,
        shown = inside || (before ? xa - wide > free : xb + wide < next);
      free = xb + (inside ? 0 : wide + 8 * U);
      return [
        s(
          "rect",
          { class: `w ${cls}${w.to ? "" : " open"}`, x: xa, y, width: xb - xa, height: 20 * U },
          s("title", {}, `${c.t(word)} ${text}`),
        ),
        shown
          ? s(
              "text",
              {
                class: "wlabel" + (inside ? " in " + cls : ""),
                x: inside ? xa + 8 * U : before ? xa - 6 * U : xb + 6 * U,
                y: y + 14.5 * U,
                "text-anchor": before ? "end" : "start",
              },
              text,
            )
          : null,
      ];
    }),
  ];
}

/** d, and the first reply by a person: where each stands, where its word lies; the first one's higher, were they to touch. */
function instants(c, e, { x, left, right }) {
  const U = c.U,
    marks = [
      [at(e.demand_at), "i_d"],
      [at(e.first_reply_at), "i_first"],
    ]
      .filter(([t]) => t !== null)
      .map(([t, word]) => {
        const px = x(t),
          late = px > (left + right) / 2,
          long = c.t(word).length * (c.zh ? 12 : 7) * U;
        return { px, word, late, from: late ? px + 4 * U - long : px - 4 * U, to: late ? px + 4 * U : px - 4 * U + long };
      });
  const [first, second] = marks;
  if (second) first.raised = first.from < second.to + 8 * U && second.from < first.to + 8 * U;
  return marks;
}

function upright(c, { px, word, late, raised }, top, base) {
  const U = c.U;
  return [
    s("line", { class: "instant", x1: px, x2: px, y1: top - 10 * U, y2: base }),
    s(
      "text",
      {
        class: "instanttext",
        x: px + (late ? 4 : -4) * U,
        y: top - (raised ? 28 : 13) * U,
        "text-anchor": late ? "end" : "start",
      },
      c.t(word),
    ),
  ];
}

const spoken = (c, e, data) =>
  c.t("waits_label") +
  (e.waits ?? [])
    .map(
      (w) => `${c.t(ROWS.find(([, , kinds]) => kinds.includes(w.kind))?.[0] ?? "w_queue")} ${dur(c, length(w, data))}`,
    )
    .join(c.zh ? "，" : ", ");
