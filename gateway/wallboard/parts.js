// A number of several queues: which they are, each of which opens its own conversations.

import { dialog } from "./dialogs.js";
import { h } from "./dom.js";
import { label } from "./say.js";

/** Let the reader choose one of the queues that a number of a board is the sum of. */
export function parts(c, where) {
  const title = c.t("parts_of", c.summed.name);
  const box = dialog(
    title,
    h("h2", title),
    h(
      "ul.parts",
      c.summed.rows.map((k) => {
        const to = { page: "behind", ...where, at: k.queue },
          go = c.follow(to);
        const act = (event) => {
          box.close();
          go(event);
        };
        return h("li", { key: k.queue }, h("a.open", { href: c.link(to), onclick: act }, label(c, "queue", k.queue)));
      }),
    ),
    h("div.abtns", h("button", { type: "button", onclick: () => box.close() }, c.t("close"))),
  );
}
