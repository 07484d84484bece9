// What every part says the same way: names, times, ages, shapes; and the way from a number to what is behind it.

import { h } from "./dom.js";
import * as d from "./draw.js";
import * as f from "./forms.js";
import * as m from "./model.js";

export const LEVEL = [null, null, "warning", "critical"];
export const tone = (n) => ["", "", "tone-warning", "tone-critical"][n];
export const given = (x) => x !== null && x !== undefined;

const ALL = { queue: "all_queues", channel: "all_channels" };

/** The name people know something by, in their language; else its id. */
export function label(c, kind, id) {
  const known = c.state.labels?.[kind]?.[id]?.[c.lang];
  if (known) return known;
  if (id === "*" && ALL[kind]) return c.t(ALL[kind]);
  return id === "other" ? c.t("other") : id;
}

export const dur = (c, ms) => f.span(ms, c.zh);

/** A time; with its date where it is not of the day that the numbers are of. */
export const clock = (c, ms, seconds, today = c.at) => f.clock(ms, c.zone, { zh: c.zh, seconds, today });

/** An age that goes on while the page is live, from the moment the numbers are of. */
export const aging = (c, ms) => (given(ms) ? ms + c.elapsed : null);

/** How long an alert has lasted, ms. */
export const lasted = (c, a) =>
  Math.max(0, (a.resolved_at ? Date.parse(a.resolved_at) : c.at + c.elapsed) - Date.parse(a.since));

/** A figure in the unit of its alert. */
export function inUnit(c, unit, x) {
  if (!given(x)) return f.NONE;
  if (unit === "ms") return dur(c, x);
  if (unit === "s") return dur(c, x * 1000);
  if (unit === "ratio") return f.percent(x);
  if (unit === "score") return f.mood(x);
  if (unit === "times") return f.times(x, c.zh);
  return unit === "per_min" ? `${f.rate(x)} ${c.t("per_min")}` : f.rate(x);
}

/** A level's shape and word: `▲ over 80`. */
export function crossed(c, key, metric, n, write, more = "above") {
  if (n < 2) return null;
  const edge = m.edge(key, metric, n);
  return d.mark(LEVEL[n], edge ? c.t(edge.low ? "below" : more, write(edge.value)) : c.t(LEVEL[n]));
}

/** A volume's state in one mark: surge, lull, learning; and nothing at all where all is as usual. */
export function volumeMark(c, v, short) {
  if (!v) return null;
  const since = v.since ? dur(c, Math.max(0, c.at + c.elapsed - Date.parse(v.since))) : "";
  if (v.surge) return d.mark("critical", short ? c.t("surge") : `${c.t("surge")} ${since}`);
  if (v.lull) return d.mark("warning", short ? c.t("lull") : `${c.t("lull")} ${since}`);
  if (!v.learning) return null;
  if (short && !v.learned_days) return d.mark("learning", c.t("learning"));
  return d.mark(
    "learning",
    given(v.expected) ? c.t(short ? "learn_day" : "learn_long", v.learned_days ?? 0) : c.t("learn_none"),
  );
}

/** Whether numbers are links here: with the right to see conversations, and not on a wall. */
export const opens = (c) => c.view !== "tv" && c.can("drill");

/** A number that opens what is behind it; plain text for who may not look. */
export function number(c, where, spec, attrs, ...kids) {
  if (!opens(c)) return h("span" + spec, attrs, kids);
  if (c.summed && where.at === "*" && !where.agent)
    return h("button.plain.open" + spec, { ...attrs, type: "button", onclick: () => c.do.parts(where) }, kids);
  const to = { page: "behind", ...where };
  return h("a.open" + spec, { ...attrs, href: c.link(to), onclick: c.follow(to) }, kids);
}
