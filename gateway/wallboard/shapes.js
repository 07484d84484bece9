// Shapes with which colour never stands alone, and the name of the house.

import { h, s } from "./dom.js";

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
