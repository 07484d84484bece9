// The form with which an admin changes a board.

import { answers, dialog } from "./dialogs.js";
import { h } from "./dom.js";

/** Where the boards are asked for. */
export const BOARDS = "/v1/boards";

/** What a board is called. */
export const titleOf = (c, b) => b.title?.[c.lang] || b.name;

/** Whether a board is this reader's to change or remove: its own tenant's, or any for who sees all tenants. */
export const owns = (viewer, b) => viewer.tenant === "*" || (!!b.tenant && b.tenant === viewer.tenant);

/**
 * How an order names the board it changes: whose it is, and which version. Where a reader of one tenant changes
 * everybody's, that makes a new one of the tenant, which has no version yet.
 */
export const named = (viewer, b) => ({
  name: b.name,
  ...(b.tenant ? { tenant: b.tenant } : {}),
  ...(owns(viewer, b) ? { version: b.version } : {}),
});

const words = (text) => text.split(/[\s,，;；]+/).filter(Boolean);

/** A form for a board; limits one a line: `metric queue channel near warning critical min_n`, a dash for none. */
export function edit(c, data, b) {
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
      b && owns(c.state.viewer, b)
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
                  { ...named(c.state.viewer, b), remove: true },
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
    all = (list) => (list.length ? list : ["*"]);
  const fields = {
    title: { zh: text("zh"), en: text("en") },
    tiles: form.getAll("tile"),
    queues: all(words(text("queues"))),
    channels: all(words(text("channels"))),
    table: b?.table ?? [],
    thresholds,
    rotate: { ribbons: form.getAll("ribbon"), every_s: Number(text("every")) },
  };
  await sent(c, box, tell, { ...(b ? named(c.state.viewer, b) : { name: text("name") }), ...fields });
}

/** Have a board saved or removed; what the gateway has against it stands in the form. */
async function sent(c, box, tell, board) {
  const reply = await c.do.order({ board });
  if (!reply.ok) return tell(c.t("refused", reply.error ?? c.t("no_answer")));
  box.close();
  c.again(BOARDS);
}
