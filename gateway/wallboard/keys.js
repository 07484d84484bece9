// The keyboard: what each key does, and where it does nothing.

import { isOpen } from "./dialogs.js";

const STEP = 1500;

/** The alert, row or item of a list that J and K stand on. */
function move(step) {
  const all = [...document.querySelectorAll("[data-alert], [data-row], [data-item]")];
  const at = all.indexOf(document.activeElement?.closest?.("[data-alert], [data-row], [data-item]"));
  const next = all[Math.max(0, Math.min(all.length - 1, at < 0 ? 0 : at + step))];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

/** `act`: what the page can do by name; `single()`: whether single letters are on. */
export function listen(act, single) {
  let go = -1e9;
  const keys = {
    "/": act.filter,
    j: () => move(1),
    k: () => move(-1),
    t: act.tv,
    d: act.theme,
    e: act.lang,
    m: act.sound,
    "?": act.help,
    g: () => {
      go = performance.now();
    },
    a: act.ackCurrent,
    s: act.silenceCurrent,
    r: act.read,
    1: () => act.window("1m"),
    2: () => act.window("5m"),
    3: () => act.window("30m"),
    4: () => act.window("today"),
  };
  const places = { l: "live", h: "history", a: "alerts" };
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isOpen()) return;
    const field = event.target.closest?.("input, select, textarea, [contenteditable]");
    if (event.key === "Escape") return field ? field.blur() : act.up();
    if (field) return;
    const name = event.key.toLowerCase();
    if (event.key === "Enter" && event.target.matches?.("[data-row]")) return act.queue(event.target.dataset.row);
    if (event.key === "Enter" && event.target.matches?.("[data-alert]")) return act.unfold(event.target.dataset.alert);
    if (!single() && /^[a-z]$/.test(name)) return;
    if (performance.now() - go < STEP && name in places) {
      go = -1e9;
      event.preventDefault();
      return act.page(places[name]);
    }
    if (!(name in keys)) return;
    event.preventDefault();
    keys[name]();
  });
}
