// The receipt of a number: the two instants, what does not count, where it stands, how it is reckoned, and the same reckoned again.

import { answered } from "./asked.js";
import { h } from "./dom.js";
import * as d from "./draw.js";
import * as f from "./forms.js";
import { meaning } from "./means.js";
import { clock, given, inUnit, label } from "./say.js";
import { value, whole } from "./tiles.js";

export function receiptPanel(c, url) {
  if (!url)
    return h(
      "section.panel.receipt",
      { key: "receipt" },
      h("div.phead", h("h2", c.t("receipt"))),
      h("p.sub", c.t("no_receipt")),
    );
  const one = c.ask(url, 30e3);
  return h(
    "section.panel.receipt",
    { key: "receipt" },
    h("div.phead", h("h2", c.t("receipt")), h("span.gap"), one.data ? verdict(c, one.data) : null),
    answered(c, one, url, (data) => paper(c, data)),
  );
}

/** What a column is called. */
const part = (c, name) => (c.t("part_" + name) === "part_" + name ? name : c.t("part_" + name));

const off = (r) => given(r.difference) && r.difference !== 0;

/** Whether the number and the one reckoned anew agree. */
function verdict(c, r) {
  if (!given(r.difference)) return d.mark("learning", c.t("not_recomputed"));
  if (!off(r)) return d.mark("ok", c.t("agree"));
  return r.settled ? d.mark("error", c.t("disagree")) : d.mark("provisional", c.t("unsettled"));
}

const exact = (r, x) =>
  given(x) ? (r.unit === "ms" ? `${f.count(x)} ms` : r.unit === "count" ? f.count(x) : String(x)) : f.NONE;
const amount = (c, r, x) => (r.unit === "ms" && given(x) ? c.t("ms", f.count(x)) : exact(r, x));
const moment = (c, text) =>
  text
    ? f.clock(Date.parse(text), c.zone, { zh: c.zh, seconds: true, today: c.at }) +
      "." +
      String(Date.parse(text) % 1000).padStart(3, "0")
    : null;

function paper(c, r) {
  const pieces = r.unit === "ms" ? f.parts(r.value, c.zh) : whole(inUnit(c, r.unit, r.value)),
    wait = r.conversation && r.from;
  const rows = [
    ...(wait
      ? [
          [c.t("rc_to"), moment(c, r.to) ?? c.t("goes_on")],
          [c.t("rc_from"), moment(c, r.from)],
          [c.t("rc_equals"), amount(c, r, r.value)],
        ]
      : [
          [
            c.t("rc_span"),
            r.window
              ? c.t(r.window)
              : r.from
                ? `${clock(c, Date.parse(r.from))}–${r.to ? clock(c, Date.parse(r.to)) : ""}`
                : c.t("right_now"),
          ],
        ]),
    ...Object.entries(r.parts ?? {})
      .filter(([, x]) => typeof x === "number")
      .map(([name, x]) => [part(c, name), f.count(x)]),
    [
      c.t("rc_stands"),
      r.in_queue ? `${label(c, "queue", r.in_queue)}${r.minute ? ` · ${clock(c, Date.parse(r.minute))}` : ""}` : null,
    ],
    [
      c.t("rc_target"),
      given(r.target_ms)
        ? `${f.round(r.target_ms, c.zh)}${given(r.met) ? ` · ${c.t(r.met ? "met" : "missed")}` : ""}`
        : null,
    ],
    [c.t("rc_formula"), r.formula_id],
    [c.t("rc_version"), given(r.version) ? String(r.version) : null],
    [c.t("as_of"), r.as_of ? clock(c, Date.parse(r.as_of), true) : null],
  ];
  return [
    h("p.rbig", { key: "big" }, value(pieces)),
    h("p.sub", { key: "name" }, `${r[c.lang] ?? r.metric} (${r.metric})`),
    h(
      "dl.rlist",
      { key: "facts" },
      rows
        .filter(([, x]) => x !== null && x !== undefined && x !== "")
        .map(([k, x]) => h("div", { key: k }, h("dt", k), h("dd", x))),
    ),
    excluded(c, r.excluded ?? []),
    r.formula ? h("p.sub.formula", { key: "formula" }, meaning(c, r.metric, r.formula)) : null,
    h("h4", { key: "h" }, c.t("rc_stored")),
    h("pre", { key: "sql", tabindex: "0", role: "region", "aria-label": c.t("rc_stored") }, r.sql ?? f.NONE),
    check(c, r),
    buttons(c, r),
  ];
}

function excluded(c, list) {
  if (!list.length) return null;
  const much = (x) =>
    [given(x.n) ? f.count(x.n) : null, given(x.ms) ? f.span(x.ms, c.zh) : null].filter(Boolean).join(" · ");
  return [
    h("h4", { key: "exh" }, c.t("rc_not")),
    h(
      "ul.excluded",
      { key: "ex" },
      list.map((x, i) => h("li", { key: i }, h("span", x[c.lang]), h("b", much(x)))),
    ),
  ];
}

/** The number reckoned anew from what is stored, and by how much it differs. */
function check(c, r) {
  if (!given(r.recomputed)) return h("p.sub", { key: "check" }, c.t("not_recomputed"));
  const says = off(r)
    ? r.settled
      ? c.t("differs", amount(c, r, Math.abs(r.difference)))
      : c.t("unsettled_long")
    : c.t("difference_0");
  return h(
    "p.rcheck" + (off(r) && r.settled ? ".bad" : ""),
    { key: "check" },
    d.icon(off(r) ? (r.settled ? "error" : "provisional") : "ok"),
    h("b", amount(c, r, r.recomputed)),
    h("span.sub", `${c.t("rc_anew")} · ${says}`),
  );
}

const copy = (text) => async (event) => {
  const button = event.currentTarget;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = button.dataset.done;
  } catch {
    button.textContent = button.dataset.failed;
  }
  setTimeout(() => {
    button.textContent = button.dataset.word;
  }, 1500);
};
/** A button that copies a text, and says that it did. */
export const copying = (c, key, word, text) =>
  h(
    "button.tool",
    {
      key,
      type: "button",
      "data-word": c.t(word),
      "data-done": c.t("copied"),
      "data-failed": c.t("copy_failed"),
      onclick: copy(text),
    },
    c.t(word),
  );

const buttons = (c, r) =>
  h(
    "div.abtns",
    { key: "copy" },
    r.sql ? copying(c, "q", "copy_query", r.sql) : null,
    r.recomputed_sql ? copying(c, "a", "copy_anew", r.recomputed_sql) : null,
    copying(
      c,
      "l",
      "copy_link",
      location.origin + c.link(c.ui.conversation ? { receipt: c.ui.receipt ?? r.metric } : {}),
    ),
  );
