// The boards of the teams: what each shows, and from where on it colours.

import { answered } from "./asked.js";
import { BOARDS, edit, titleOf } from "./boardform.js";
import { h } from "./dom.js";
import * as d from "./draw.js";
import * as f from "./forms.js";
import { given } from "./say.js";
import { links } from "./tvlinks.js";

/** The limits that a board puts in place of the keys' own; null: none. */
export const limitsOf = (board) => (board?.thresholds?.length ? board.thresholds : null);

export function boardsPage(c) {
  const all = c.ask(BOARDS, 30e3),
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
      answered(c, all, BOARDS, (data) => list(c, data, name)),
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
