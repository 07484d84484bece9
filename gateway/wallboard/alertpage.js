// The page of alerts: what is open, what was, and what people thought of each rule.

import { grade, title } from "./alertcard.js";
import { alertsPanel } from "./alerts.js";
import { answered } from "./asked.js";
import { h } from "./dom.js";
import * as d from "./draw.js";
import * as f from "./forms.js";
import * as m from "./model.js";
import { clock, dur, given, lasted } from "./say.js";

/** What is open, what was, and what people thought of each rule. */
export function alertsPage(c) {
  const from = new Date((Math.floor((c.at ?? c.today ?? Date.now()) / 36e5) - 7 * 24) * 36e5).toISOString(),
    url = `/v1/alerts?${new URLSearchParams({ tenant: c.tenant, from, limit: 200 })}`;
  const past = c.ask(url, 60e3),
    known = new Set(m.alertsOf(c.state, c.tenant).map((a) => a.alert));
  return h(
    "main.desk.alertspage",
    { id: "main", key: "alerts", tabindex: "-1" },
    h(
      "div.apcols",
      { key: "cols" },
      h("section.panel.alertsp", { key: "now" }, alertsPanel(c, { all: true })),
      h(
        "div.apright",
        { key: "past" },
        h(
          "section.panel",
          { key: "rules" },
          h("div.phead", h("h2", c.t("by_rule")), h("span.gap"), h("small.sub", c.t("days", 7))),
          answered(c, past, url, (data) => rules(c, data.rules ?? [])),
        ),
        h(
          "section.panel",
          { key: "old" },
          h("div.phead", h("h2", c.t("past_alerts")), h("span.gap"), h("small.sub", c.t("days", 7))),
          answered(c, past, url, (data) =>
            older(
              c,
              (data.items ?? []).filter((a) => a.state === "resolved" && !known.has(a.alert)),
            ),
          ),
        ),
      ),
    ),
  );
}

function rules(c, list) {
  if (!list.length) return h("p.sub", c.t("none_yet"));
  const heads = ["rule", "fired", "useful", "noise", "useful_share", "median"].map((x, i) =>
    h("th" + (i ? ".num" : ""), { scope: "col" }, c.t("ar_" + x)),
  );
  const row = (r) =>
    h(
      "tr",
      { key: r.rule },
      h("th", { scope: "row" }, r.rule),
      h("td.num", f.count(r.fired)),
      h("td.num", f.count(r.useful)),
      h("td.num", f.count(r.noise)),
      h(
        "td.num",
        given(r.useful_share)
          ? [f.percent(r.useful_share, 0), h("small", ` n ${f.count(r.graded)}`)]
          : [f.NONE, h("small", " n 0")],
      ),
      h("td.num", dur(c, given(r.median_s) ? r.median_s * 1000 : null)),
    );
  return h(
    "div.scrollx",
    { tabindex: "0", role: "region", "aria-label": c.t("by_rule") },
    h("table.plaintable", h("thead", h("tr", heads)), h("tbody", list.map(row))),
  );
}

function older(c, list) {
  if (!list.length) return h("p.sub", c.t("none_yet"));
  return h(
    "ul.older",
    list
      .slice(0, 100)
      .map((a) =>
        h(
          "li",
          { key: a.alert },
          d.mark("ok", c.t(a.severity)),
          h("span.otitle", title(c, a)),
          h("time", { datetime: a.since }, `${clock(c, Date.parse(a.since))} · ${dur(c, lasted(c, a))}`),
          grade(c, a),
        ),
      ),
  );
}
