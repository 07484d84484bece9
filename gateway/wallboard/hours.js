// Service level by hour and weekday: sums of what was judged, never a mean of means.

import { dialog } from "./dialogs.js";
import { h } from "./dom.js";
import * as f from "./forms.js";
import * as m from "./model.js";
import { clock, number, opens } from "./say.js";
import { walk } from "./table.js";

const HOUR = 36e5,
  HOURS = Array.from({ length: 24 }, (_, i) => String(i).padStart(2, "0"));
/** The columns it takes. */
export const PARTS = ["offered", "answered_in_target", "short_abandoned", "undecided"];

/** Sums of the steps of the same hour of the same weekday: [weekday][hour] → {met, judged, from: begins of the steps, each: the steps}. */
export function byHour(data, zone) {
  const table = Array.from({ length: 7 }, () =>
    Array.from({ length: 24 }, () => ({ met: 0, judged: 0, from: [], each: [] })),
  );
  const [offered, met, short, open] = PARTS.map(
    (name) => (data.series ?? []).find((x) => x.metric === name)?.values ?? [],
  );
  (data.at ?? []).forEach((text, i) => {
    const at = Date.parse(text),
      { weekday, hour } = f.weekday(at, zone),
      cell = table[weekday][hour];
    cell.met += met[i] ?? 0;
    cell.judged += (offered[i] ?? 0) - (short[i] ?? 0) - (open[i] ?? 0);
    cell.from.push(at);
    cell.each.push({ at, met: met[i] ?? 0, judged: (offered[i] ?? 0) - (short[i] ?? 0) - (open[i] ?? 0) });
  });
  return table;
}

const share = (x) => (x.judged > 0 ? x.met / x.judged : null);

const where = (c, from) => ({
  of: "service_level",
  at: c.ui.queue,
  from: new Date(from).toISOString(),
  to: new Date(from + HOUR).toISOString(),
});

/** The hours that a cell is the sum of, newest first, each of which opens its conversations. */
function unfold(c, x, title) {
  const rows = x.each.filter((one) => one.judged > 0).reverse();
  const box = dialog(
    title,
    h("h2", title),
    h(
      "ul.eachday",
      rows.map((one) => {
        const to = { page: "behind", ...where(c, one.at) },
          go = c.follow(to);
        return h(
          "li",
          { key: one.at },
          h("span", clock(c, one.at)),
          h("span.sub", `n ${f.count(one.judged)}`),
          h(
            "a.open",
            {
              href: c.link(to),
              onclick: (event) => {
                box.close();
                go(event);
              },
            },
            f.percent(share(one)),
          ),
        );
      }),
    ),
    h("div.abtns", h("button", { type: "button", onclick: () => box.close() }, c.t("close"))),
  );
}

/** One hour: a number that opens its conversations; where it is the sum of several days', the days to choose from. */
function cell(c, x, title) {
  const v = share(x),
    lv = v === null ? 0 : m.level(c.key, "service_level", v, x.judged),
    shown = Math.floor(v * 100);
  if (v === null) return h("td.blank", { title: c.t("no_cases") }, h("span.quiet", f.NONE));
  const [from] = x.from,
    reach = { tabindex: opens(c) ? "-1" : null, "data-cell": from };
  return h(
    "td.heat" + lv,
    { title: `${f.percent(v)} · n ${f.count(x.judged)}` },
    lv > 1 ? h("span.quiet", c.t(lv === 3 ? "critical" : "warning") + " ") : null,
    x.from.length === 1
      ? number(c, where(c, from), "", reach, shown)
      : opens(c)
        ? h("button.plain.open", { ...reach, type: "button", onclick: () => unfold(c, x, title) }, shown)
        : shown,
  );
}

export function hours(c, data) {
  const days = c.t("weekdays"),
    all = !["today", "yesterday"].includes(c.ui.period);
  const rows = byHour(data, c.zone)
    .map((row, i) => [days[i], row])
    .filter(([, row]) => all || row.some((x) => x.judged > 0));
  if (!rows.length) return h("p.sub", c.t("no_cases"));
  const one = ([day, row], hour) => cell(c, row[hour], c.t("hours_of", day, HOURS[hour])),
    upright = c.view === "phone"; // where there is no room for twenty-four columns: a row for each hour
  const lines = upright
    ? HOURS.map((word, hour) => [word, rows.map((row) => one(row, hour))])
    : rows.map((row) => [row[0], HOURS.map((_, hour) => one(row, hour))]);
  const head = (upright ? rows.map(([day]) => day) : HOURS).map((word) => h("th", { scope: "col" }, word));
  return h(
    "div.scrollx",
    { tabindex: "0", role: "region", "aria-label": c.t("sl") },
    h(
      "table.hours",
      h("thead", h("tr", h("th", { scope: "col" }, h("span.quiet", c.t(upright ? "hour_of_day" : "weekday"))), head)),
      h(
        "tbody",
        lines.map(([word, cells]) =>
          h(
            "tr",
            { key: word, tabindex: "0", "data-item": word, onkeydown: walk },
            h("th", { scope: "row" }, word),
            cells,
          ),
        ),
      ),
    ),
  );
}
