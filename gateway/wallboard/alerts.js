// Alerts: the cards that are open, and the one strip of the wall.

import { card, dimensions, seen, title } from "./alertcard.js";
import { h } from "./dom.js";
import * as d from "./draw.js";
import * as f from "./forms.js";
import * as m from "./model.js";
import { clock, dur, label, lasted } from "./say.js";

export function alertsPanel(c, o = {}) {
  const all = m.alertsOf(c.state, c.tenant).map((a) => seen(c, a)),
    open = all.filter((a) => a.state !== "resolved"),
    most = o.all ? Infinity : 5,
    quiet = (a) => Number(m.silenceOf(c.state, a, c.at ?? 0) !== null),
    own = (o.all ? [...open] : open.filter((a) => !a.inhibited_by)).sort((a, b) => quiet(a) - quiet(b)),
    cards = own.slice(0, most),
    rest = open.filter((a) => !cards.includes(a)),
    same = rest.length > 0 && rest.every((a) => a.inhibited_by || (a.group && a.group === cards[0]?.group));
  return [
    h(
      "div.phead",
      h("h2", c.t("alerts")),
      h("span.gap"),
      h("small.sub", c.t("alerts_sub", open.length, all.length - open.length)),
    ),
    !all.length ? h("p.sub", c.t("no_alerts")) : null,
    cards.map((a) => card(c, a)),
    rest.length
      ? h(
          "p.sub.folded",
          { key: "rest" },
          h(
            "a",
            { href: c.link({ page: "alerts" }), onclick: c.follow({ page: "alerts" }) },
            c.t(same ? "more_same" : "more", rest.length),
          ),
        )
      : null,
    (c.view === "phone" && !o.all ? [] : all.filter((a) => a.state === "resolved").slice(0, most)).map((a) =>
      card(c, a),
    ),
  ];
}

/** The one strip of the TV: the worst that is open; or, quietly, what was last. */
export function tvStrip(c) {
  const all = m.alertsOf(c.state, c.tenant).map((a) => seen(c, a)),
    open = all.filter(
      (a) => a.state !== "resolved" && a.severity !== "info" && !a.inhibited_by && !m.silenceOf(c.state, a, c.at ?? 0),
    ),
    a = open[0],
    sep = c.zh ? "，" : ", ";
  if (!a) {
    const last = all.find((x) => x.state === "resolved");
    return h(
      "div.tvquiet",
      { key: "quiet" },
      d.icon("ok"),
      h("span", c.t("no_alerts")),
      last
        ? h(
            "span.faint",
            `${c.t("last_alert")}${c.zh ? "：" : ": "}${title(c, last)} ${clock(c, Date.parse(last.since))}–${clock(c, Date.parse(last.resolved_at ?? last.at))}`,
          )
        : null,
    );
  }
  const volume = m.volumeKind(a),
    first = dimensions(a)[0],
    causes = (a.drivers ?? [])
      .filter((x) => x.dimension === first)
      .map((x) => `${label(c, x.dimension, x.value)} ${f.signed(Math.round(x.excess))}`)
      .slice(0, c.ui.size === "xl" ? 1 : Infinity),
    need = a.impact?.agents_needed;
  return h(
    "div.tvalert.tv-" + a.severity,
    { key: a.alert, role: "group" },
    h(
      "div.tva1",
      d.icon(a.severity),
      h("b", volume ? `${c.t(a.severity)} · ${c.t(volume)}` : c.t(a.severity)),
      h("b.tvq", volume ? label(c, "queue", a.queue) : title(c, a)),
      h(
        "span.tvv",
        volume
          ? `${f.rate(a.value)} ${c.t("per_min")}${a.expected ? sep + f.times(a.value / a.expected, c.zh) : ""}`
          : "",
      ),
      h("span.gap"),
      h("span", `${c.t("lasting")} ${dur(c, lasted(c, a))}`),
    ),
    h(
      "div.tva2",
      h(
        "span.tvv",
        causes.length
          ? `${c.t("cause")}${c.zh ? "：" : ": "}${causes.join(sep)}`
          : open.length > 1
            ? c.t("more", open.length - 1)
            : "",
      ),
      h("span.gap"),
      h(
        "span",
        [
          need ? c.t("need", need) : null,
          a.state === "firing" ? c.t("firing") : `${c.t("acknowledged")} ${a.acknowledged_by ?? ""}`,
        ]
          .filter(Boolean)
          .join(" · "),
      ),
    ),
  );
}
