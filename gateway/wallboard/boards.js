// The boards of the teams: what each shows and from where on it colours; and, for an admin, changing them, and links for a TV.

import { answered } from "./asked.js";
import { dialog, answers } from "./dialogs.js";
import { h } from "./dom.js";
import * as d from "./draw.js";
import * as f from "./forms.js";
import { clock, given } from "./say.js";

/** The limits that a board puts in place of the keys' own; null: none. */
export const limitsOf = (board) => (board?.thresholds?.length ? board.thresholds : null);

const URL_ = "/v1/boards",
  LINKS = "/v1/links";

export function boardsPage(c) {
  const all = c.ask(URL_, 30e3),
    name = c.ui.board;
  return h(
    "main.desk.boards",
    { id: "main", key: "boards", tabindex: "-1" },
    h(
      "section.panel",
      { key: "list" },
      h(
        "div.phead",
        h("h2", c.t("boards")),
        h("span.gap"),
        c.can("admin")
          ? h("button.tool", { type: "button", onclick: () => edit(c, all.data, null) }, c.t("new_board"))
          : null,
      ),
      h("p.sub", c.t("boards_sub")),
      answered(c, all, URL_, (data) => list(c, data, name)),
    ),
    c.can("admin") ? links(c) : null,
  );
}

function list(c, data, name) {
  const boards = data.boards ?? [],
    problems = (data.problems ?? []).map((x) => h("p.problem", { key: x }, d.icon("error"), ` ${x}`));
  if (!boards.length) return [problems, h("p.sub", c.t("no_boards"))];
  return [
    problems,
    h(
      "ul.blist",
      { key: "boards" },
      boards.map((b) => card(c, data, b, b.name === name)),
    ),
  ];
}

const patterns = (list, all) => (!list?.length || list.includes("*") ? all : list.join(" · "));
const titleOf = (c, b) => b.title?.[c.lang] || b.name;

function card(c, data, b, on) {
  const open = { page: "live", board: b.name },
    wall = { ...open, view: "tv" };
  const facts = [
    [c.t("b_tiles"), (b.tiles ?? []).map((x) => c.t("tile_" + x)).join(" · ")],
    [c.t("queue"), patterns(b.queues, c.t("all_queues"))],
    [c.t("channel"), patterns(b.channels, c.t("all_channels"))],
    [
      c.t("b_rotate"),
      given(b.rotate?.every_s)
        ? `${f.span(b.rotate.every_s * 1000, c.zh)} · ${(b.rotate.ribbons ?? []).map((x) => c.t("rib_" + x)).join(" · ")}`
        : null,
    ],
    [c.t("b_limits"), (b.thresholds ?? []).length ? limits(c, b.thresholds) : null],
  ];
  return h(
    "li.bcard" + (on ? ".on" : ""),
    { key: b.name },
    h(
      "div.phead",
      h("h3", titleOf(c, b)),
      h("small.sub", b.name, b.tenant ? ` · ${b.tenant}` : ""),
      h("span.gap"),
      h("a.button", { href: c.link(open), onclick: c.follow(open) }, c.t("open_board")),
      h("a.button", { href: c.link(wall), onclick: c.follow(wall) }, c.t("open_tv")),
      c.can("admin") ? h("button.tool", { type: "button", onclick: () => edit(c, data, b) }, c.t("edit")) : null,
    ),
    h(
      "dl.rlist",
      facts.filter(([, x]) => x).map(([k, x]) => h("div", { key: k }, h("dt", k), h("dd", x))),
    ),
  );
}

function limits(c, list) {
  return h(
    "ul",
    list.map((l, i) =>
      h(
        "li",
        { key: i },
        `${l.metric} · ${l.queue ?? "*"} · ${l.channel ?? "*"}: `,
        ["near", "warning", "critical"]
          .filter((x) => given(l[x]))
          .map((x) => `${c.t(x)} ${l[x]}`)
          .join(" · "),
        given(l.min_n) ? ` · n ≥ ${l.min_n}` : "",
      ),
    ),
  );
}

/* ── changing one, for an admin ──────────────────────────────────────────────────────────────────────────────── */

const words = (text) => text.split(/[\s,，;；]+/).filter(Boolean);

/** A form for a board; limits one a line: `metric queue channel near warning critical min_n`, a dash for none. */
function edit(c, data, b) {
  const title = b ? c.t("edit_board", titleOf(c, b)) : c.t("new_board"),
    old = b ?? { tiles: [], queues: [], channels: [], thresholds: [], rotate: {}, table: [] };
  const field = (name, word, value, more = {}) =>
    h(
      "label",
      h("span", c.t(word)),
      h("input", { name, value: value ?? "", autocomplete: "off", maxlength: 400, ...more }),
    );
  const tiles = h(
    "fieldset",
    h("legend", c.t("b_tiles")),
    (data?.tiles ?? []).map((x) =>
      h(
        "label.check",
        { key: x },
        h("input", { type: "checkbox", name: "tile", value: x, checked: old.tiles.includes(x) }),
        h("span", c.t("tile_" + x)),
      ),
    ),
  );
  const ribbons = h(
    "fieldset",
    h("legend", c.t("b_rotate")),
    (data?.ribbons ?? []).map((x) =>
      h(
        "label.check",
        { key: x },
        h("input", {
          type: "checkbox",
          name: "ribbon",
          value: x,
          checked: (old.rotate?.ribbons ?? data.ribbons).includes(x),
        }),
        h("span", c.t("rib_" + x)),
      ),
    ),
  );
  const lines = (old.thresholds ?? [])
    .map((l) =>
      [
        l.metric,
        l.queue ?? "*",
        l.channel ?? "*",
        l.near ?? "-",
        l.warning ?? "-",
        l.critical ?? "-",
        l.min_n ?? "-",
      ].join(" "),
    )
    .join("\n");
  const problem = h("p.formerror", { role: "alert" });
  const box = dialog(
    title,
    h(
      "form.wideform",
      { onsubmit: (event) => submit(event, c, b, box) },
      h("h2", title),
      field("name", "b_name", b?.name, { required: true, pattern: "[a-z0-9]([a-z0-9\\-]*[a-z0-9])?", readonly: !!b }),
      field("zh", "b_zh", b?.title?.zh, { required: true }),
      field("en", "b_en", b?.title?.en, { required: true }),
      tiles,
      field("queues", "b_queues", (old.queues ?? []).join(" ")),
      field("channels", "b_channels", (old.channels ?? []).join(" ")),
      field("every", "b_every", old.rotate?.every_s ?? 12, { type: "number", min: 0, max: 3600 }),
      ribbons,
      h(
        "label",
        h("span", c.t("b_limits_form")),
        h("textarea", { name: "thresholds", rows: 4, spellcheck: "false" }, lines),
      ),
      problem,
      answers(c, "save", () => box.close()),
      b
        ? h(
            "button.plain",
            {
              type: "button",
              onclick: () =>
                sent(
                  c,
                  box,
                  (text) => {
                    box.querySelector(".formerror").textContent = text;
                  },
                  {
                    name: b.name,
                    ...(b.tenant && c.many ? { tenant: b.tenant } : {}),
                    version: b.version,
                    remove: true,
                  },
                ),
            },
            c.t("remove"),
          )
        : null,
    ),
  );
}

const number = (text) => (text === "-" || text === undefined ? null : Number(text));

/** A line of the form as a threshold; null where it is not one. */
export function threshold(line) {
  const [metric, queue = "*", channel = "*", near, warning, critical, least] = line.trim().split(/\s+/),
    numbers = { near: number(near), warning: number(warning), critical: number(critical), min_n: number(least) ?? 0 };
  return metric && !Object.values(numbers).some(Number.isNaN) ? { metric, queue, channel, ...numbers } : null;
}

async function submit(event, c, b, box) {
  event.preventDefault();
  const form = new FormData(event.target),
    lines = String(form.get("thresholds"))
      .split("\n")
      .filter((x) => x.trim()),
    thresholds = lines.map(threshold),
    wrong = thresholds.indexOf(null);
  const tell = (text) => {
    box.querySelector(".formerror").textContent = text;
  };
  if (wrong >= 0) return tell(c.t("bad_line", lines[wrong]));
  const text = (name) => String(form.get(name)),
    all = (list) => (list.length ? list : ["*"]),
    whose = b?.tenant && c.many ? { tenant: b.tenant } : {};
  const fields = {
    title: { zh: text("zh"), en: text("en") },
    tiles: form.getAll("tile"),
    queues: all(words(text("queues"))),
    channels: all(words(text("channels"))),
    table: b?.table ?? [],
    thresholds,
    rotate: { ribbons: form.getAll("ribbon"), every_s: Number(text("every")) },
  };
  await sent(c, box, tell, { name: text("name"), ...whose, ...(b ? { version: b.version } : {}), ...fields });
}

/** Have a board saved or removed; what the gateway has against it stands in the form. */
async function sent(c, box, tell, board) {
  const reply = await c.do.order({ board });
  if (!reply.ok) return tell(c.t("refused", reply.error ?? c.t("no_answer")));
  box.close();
  c.again(URL_);
}

/* ── links for a TV ──────────────────────────────────────────────────────────────────────────────────────────── */

function links(c) {
  const all = c.ask(LINKS, 30e3);
  return h(
    "section.panel",
    { key: "links" },
    h(
      "div.phead",
      h("h2", c.t("tv_links")),
      h("span.gap"),
      h("button.tool", { type: "button", onclick: () => makeLink(c) }, c.t("new_link")),
    ),
    h("p.sub", c.t("tv_links_sub")),
    answered(c, all, LINKS, (data) => table(c, data.links ?? [])),
  );
}

function table(c, list) {
  if (!list.length) return h("p.sub", c.t("no_links"));
  const time = (x) => (x ? clock(c, Date.parse(x)) : f.NONE),
    heads = ["b_name", "tenant", "l_by", "l_made", "l_until", "l_opened", "l_state"].map((x) =>
      h("th", { scope: "col" }, c.t(x)),
    );
  const state = (l) =>
    l.revoked_at
      ? d.mark("silenced", c.t("l_revoked"))
      : Date.parse(l.until) < (c.today ?? 0)
        ? c.t("l_ended")
        : h("button.tool", { type: "button", onclick: () => revoke(c, l) }, c.t("l_revoke"));
  return h(
    "div.scrollx",
    { tabindex: "0", role: "region", "aria-label": c.t("tv_links") },
    h(
      "table.plaintable",
      h("thead", h("tr", heads)),
      h(
        "tbody",
        list.map((l) =>
          h(
            "tr",
            { key: l.id },
            h("th", { scope: "row" }, l.name),
            [l.tenant, l.by, time(l.made_at), time(l.until), time(l.opened_at), state(l)].map((x) => h("td", x)),
          ),
        ),
      ),
    ),
  );
}

async function revoke(c, l) {
  if ((await c.do.order({ unlink: l.id })).ok) c.again(LINKS);
}

function makeLink(c) {
  const box = dialog(
    c.t("new_link"),
    h(
      "form",
      { onsubmit: (event) => linked(event, c, box) },
      h("h2", c.t("new_link")),
      h(
        "label",
        h("span", c.t("b_name")),
        h("input", { name: "name", required: true, maxlength: 80, autocomplete: "off", placeholder: c.t("l_ph") }),
      ),
      h("label", h("span", c.t("l_days")), h("input", { name: "days", type: "number", min: 1, max: 365, value: 90 })),
      h("p.formerror", { role: "alert" }),
      answers(c, "l_make", () => box.close()),
    ),
  );
  box.querySelector("input").focus();
}

async function linked(event, c, box) {
  event.preventDefault();
  const form = new FormData(event.target),
    reply = await c.do.order({
      link: { name: String(form.get("name")), days: Number(form.get("days")), tenant: c.tenant },
    });
  if (!reply.ok) {
    box.querySelector(".formerror").textContent = c.t("refused", reply.error ?? c.t("no_answer"));
    return;
  }
  box.close();
  c.again(LINKS);
  if (reply.url)
    dialog(
      c.t("new_link"),
      h("h2", c.t("new_link")),
      h("p", c.t("l_once")),
      h("pre", { tabindex: "0" }, new URL(reply.url, location.href).href),
    );
}
