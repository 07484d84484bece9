// The live views, each put together from parts: desk, wall, phone; and what stands there while there are no numbers.

import { alertsPanel, tvStrip } from "./alerts.js";
import { tools } from "./bar.js";
import { h } from "./dom.js";
import * as d from "./draw.js";
import * as f from "./forms.js";
import * as m from "./model.js";
import { agentsPanel, ribbon, topicsPanel } from "./people.js";
import { label } from "./say.js";
import { map, phoneList, table } from "./table.js";
import { backlogPanel, tidePanel } from "./tides.js";
import { tiles } from "./tiles.js";
import { WINDOWS } from "./address.js";

export const HUGE = 60,
  WHOLE = 24; // up to so many rows all are drawn; of more those in sight
const FEW = 12,
  ROW = 44,
  SPARE = 4; // rows beyond either edge of the window

/** A choice out of a list, as a field of the browser's own. */
export function select(c, id, word, all, now = c.ui[id]) {
  const options = all.some(([x]) => x === now) ? all : [...all, [now, label(c, id, now)]];
  return h(
    "label.filter",
    { key: id },
    h("span.sub", word),
    h(
      "select",
      { value: now, "aria-label": word, onchange: (event) => c.choose({ [id]: event.target.value }) },
      options.map(([value, text]) => h("option", { key: value, value, selected: now === value }, text)),
    ),
    d.icon("down"),
  );
}

/** The queues' names, in an order that stays as rows change places. */
function listed(c, rows) {
  return rows
    .map((k) => label(c, "queue", k.queue))
    .sort((a, b) => a.localeCompare(b, c.lang))
    .join(" · ");
}

/** Which queues there are to choose from. */
export function queueSelect(c, rows) {
  const names = JSON.stringify([c.lang, c.ui.queue, c.summed?.name, rows.map((k) => k.queue), c.state.labels?.queue]);
  return c.kept("queues", names, () =>
    select(c, "queue", c.t("queue"), [
      ["*", c.summed?.name ?? c.t("all_queues")],
      ...m.byName(rows, (k) => label(c, "queue", k.queue)).map((k) => [k.queue, label(c, "queue", k.queue)]),
    ]),
  );
}
export const channelSelect = (c) =>
  select(c, "channel", c.t("channel"), [
    ["*", c.t("all_channels")],
    ...m
      .channelsOf(c.state, c.tenant)
      .filter((x) => m.fits(c.board?.channels, x))
      .map((x) => [x, label(c, "channel", x)]),
  ]);
export const tenantSelect = (c) =>
  c.many
    ? select(
        c,
        "tenant",
        c.t("tenant"),
        m.tenants(c.state).map((x) => [x, x]),
        c.tenant,
      )
    : null;

function filters(c, rows) {
  const formula = c.key?.windows?.[c.ui.window]?.formula_id ?? "tidewatch-1",
    unknown = c.key
      ? null
      : h(
          "span.sub.late",
          d.icon("error"),
          " " + c.t("no_key", label(c, "queue", c.ui.queue), label(c, "channel", c.ui.channel)),
        );
  return h(
    "section.filters",
    { "aria-label": c.t("filters") },
    tenantSelect(c),
    queueSelect(c, rows),
    channelSelect(c),
    select(
      c,
      "window",
      c.t("window"),
      WINDOWS.map((x) => [x, c.t(x)]),
    ),
    unknown,
    c.summed
      ? h("span.sub", { key: "of" }, c.t("figures_of", listed(c, c.rows)))
      : null,
    h("span.gap"),
    h("span.sub.wide", c.t("zone", c.zone, formula)),
  );
}

/** Which rows are in sight, of how many. */
function slice(c, rows, ids) {
  const high = ROW * c.U,
    box = document.querySelector("[data-rows]")?.getBoundingClientRect(),
    all = ids.length;
  if (rows.length <= WHOLE) return { from: 0, to: all, first: 1, last: all, total: all, high };
  const above = box ? Math.max(0, Math.floor(-box.top / high)) : 0,
    below = Math.ceil((innerHeight - (box?.top ?? innerHeight / 2)) / high),
    from = Math.max(0, Math.min(all - 1, above - SPARE));
  const to = Math.min(all, Math.max(from, below) + SPARE),
    last = Math.min(all, below - 1);
  return { from, to, first: above + 1, last: Math.max(above + 1, last), total: all, high };
}

function tablePanel(c, rows, ids) {
  const o = slice(c, rows, ids),
    huge = rows.length > HUGE;
  c.see(huge ? ids.slice(o.from, o.to) : ids);
  const note = c.ui.filter
    ? c.t("found", f.count(ids.length), f.count(rows.length))
    : huge
      ? `${c.t("showing", o.first, o.last, f.count(ids.length))} · ${c.t("scrolls")}`
      : c.t("all_shown", rows.length);
  const worst =
    c.ui.sort === "worst"
      ? c.t("worst")
      : h("button.plain", { type: "button", onclick: () => c.choose({ sort: "worst" }) }, c.t("worst"));
  const search = h("input.search", {
    key: "filter",
    type: "search",
    id: "filter",
    value: c.ui.filter,
    placeholder: c.t("filter_ph", rows.length),
    "aria-label": c.t("filter_queues"),
    autocomplete: "off",
    spellcheck: "false",
    maxlength: 100,
    oninput: (event) => c.do.narrow(event.target.value),
  });
  return h(
    "section.panel.tablepanel",
    { key: "table" },
    h("div.phead", h("h2", c.t("queue")), h("small.sub", worst), search, h("span.gap"), h("small.sub", note)),
    h("div.scrollx", table(c, ids, o)),
  );
}

export function desk(c) {
  const k = tiles(c),
    rows = c.rows,
    ids = c.order,
    many = rows.length > FEW;
  return h(
    "main.desk",
    { id: "main", key: "desk" },
    filters(c, rows),
    h("div.kpis" + among(figures(c, k)), figures(c, k)),
    h(
      "div.cols",
      { key: "cols" },
      h(
        "div.left",
        tidePanel(c, { height: 268, legend: true, right: 112, big: 38 }),
        rows.length > HUGE ? map(c, rows) : null,
        tablePanel(c, rows, ids),
        many ? null : h("div.pair", { key: "pair" }, topicsPanel(c), agentsPanel(c)),
      ),
      h(
        "aside.right",
        { "aria-label": c.t("alerts") },
        h("section.panel.alertsp", alertsPanel(c)),
        many ? [topicsPanel(c), agentsPanel(c)] : null,
      ),
    ),
  );
}

/** The tiles of the board chosen, else the six of the desk. */
const figures = (c, k) =>
  (c.tiles ?? ["backlog", "oldest", "frt", "sl", "abandon", "csat"]).map((x) => k[x]).filter(Boolean);

/** Fewer than six share the whole width. */
const among = (list) => (list.length < 6 ? ".k" + list.length : "");

/** The figures of the wall: those of the board, but for the two that stand there large anyhow. */
function wall(c) {
  const own = (c.tiles ?? []).filter((x) => !["backlog", "oldest", "tide", "topics"].includes(x));
  return own.length ? own : ["frt", "sl", "abandon", "slots", "csat"];
}

export function tv(c) {
  const k = tiles(c),
    xl = c.ui.size === "xl",
    ribbons = c.ribbons,
    page = c.stopped ? 0 : c.turn % ribbons.length;
  const pager = h(
    "div.pager",
    h("span", `${c.t("rib_" + ribbons[page])} · ${c.t("page_of", page + 1, ribbons.length)}`),
    h("span.gap"),
    dots(page, ribbons.length),
    c.stopped ? h("span", c.t("rib_stop")) : null,
  );
  return h(
    "main.tv",
    { id: "main", key: "tv" },
    tvStrip(c),
    h(
      "div.tvmain",
      tidePanel(c, { minutes: 90, every: 15, font: 26, left: 66, right: 236, top: 40, stroke: 3.5, dot: 8, big: 92 }),
      backlogPanel(c, { font: 26, bare: xl }),
    ),
    h(
      "div.tvkpis",
      wall(c)
        .slice(0, xl ? 3 : 5)
        .map((x) => k[x]),
    ),
    xl ? null : [ribbon(c, ribbons[page]), pager],
  );
}
const dots = (page, all) =>
  h(
    "span.dots",
    { "aria-hidden": "true" },
    Array.from({ length: all }, (_, i) => h("i" + (i === page ? ".on" : ""))),
  );

export function phone(c) {
  const k = tiles(c),
    narrowed = c.many || c.ui.channel !== "*" || c.ui.queue !== "*";
  c.see(c.order.slice(0, HUGE));
  const list = c.ui.table
    ? h(
        "section.panel.tablepanel",
        { key: "table" },
        h("div.phead", h("h2", c.t("queue")), h("span.gap"), tableButton(c)),
        h(
          "div.scrollx",
          { tabindex: "0", role: "region", "aria-label": c.t("table") },
          table(c, c.order.slice(0, HUGE), {
            from: 0,
            to: Math.min(HUGE, c.order.length),
            total: c.order.length,
            high: ROW,
          }),
        ),
      )
    : phoneList(c, c.order, tableButton(c));
  return h(
    "main.phone",
    { id: "main", key: "phone" },
    narrowed ? filters(c, c.rows) : null,
    h("section.alertsp", { "aria-label": c.t("alerts") }, alertsPanel(c)),
    h("div.kpis", k.backlog, k.oldest, k.frt, k.sl),
    tidePanel(c, { height: 176, left: 30, right: 84, big: 28, every: 60, narrow: true }),
    list,
    tools(c),
  );
}
const tableButton = (c) =>
  h(
    "button.plain",
    { key: "tab", type: "button", "aria-pressed": String(!!c.ui.table), onclick: c.do.table },
    c.t(c.ui.table ? "list" : "table"),
  );

const blank = (c, k) =>
  h(
    "div.kpis",
    c.view === "phone" ? [k.backlog, k.oldest, k.frt, k.sl] : [k.backlog, k.oldest, k.frt, k.sl, k.abandon, k.csat],
  );

/** Connected, and nothing ever came. */
export const empty = (c) =>
  h(
    "main.desk",
    { id: "main", key: "empty" },
    blank(c, tiles(c)),
    h(
      "section.panel.still",
      h(
        "div.stilltext",
        h("h2", c.t("wait_first")),
        h("p", c.t("wait_first_2")),
        h("pre", "tidewatch replay FILE --speed 10"),
        h("p.sub", c.t("wait_first_3")),
      ),
      h("div.calm", { "aria-hidden": "true" }),
    ),
    c.view === "phone" ? tools(c) : null,
  );

/** Before the first frame: silent for 300 ms. */
export function loading(c) {
  const trouble = c.garbled
    ? c.t("r_garbage") + c.t("retry_n", c.attempt)
    : c.attempt
      ? c.t("r_gateway") + c.t("retry_n", c.attempt)
      : "";
  return h(
    "main.desk",
    { id: "main", key: "loading", "aria-busy": "true" },
    blank(c, tiles(c)),
    c.waited > 300 ? h("p.sub", c.t("loading"), trouble ? " " + trouble : "") : null,
  );
}

/** A message in place of numbers: two sentences, and a way on where there is one. */
export const door = (c, title, text, ...more) =>
  h("main.door", { id: "main", key: "door" }, h("div.stilltext", h("h2", title), h("p", text), more));
