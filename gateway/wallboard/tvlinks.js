// Links for a TV: who made them, until when they open, and their end.

import { answered } from "./asked.js";
import { answers, dialog } from "./dialogs.js";
import { h } from "./dom.js";
import * as d from "./draw.js";
import * as f from "./forms.js";
import { clock } from "./say.js";

const LINKS = "/v1/links";

export function links(c) {
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
    words = ["b_name", "tenant", "l_by", "l_made", "l_until", "l_opened", "l_state"].map((x) => c.t(x)),
    facts = (l) => [l.tenant, l.by, time(l.made_at), time(l.until), time(l.opened_at)];
  const state = (l) =>
    l.revoked_at
      ? d.mark("silenced", c.t("l_revoked"))
      : Date.parse(l.until) < (c.today ?? 0)
        ? c.t("l_ended")
        : h("button.tool", { type: "button", onclick: () => revoke(c, l) }, c.t("l_revoke"));
  if (c.view === "phone")
    return h(
      "ul.blist",
      list.map((l) =>
        h(
          "li.bcard",
          { key: l.id },
          h("div.phead", h("h3", l.name), h("span.gap"), state(l)),
          h(
            "dl.rlist",
            facts(l).map((x, i) => h("div", { key: words[i + 1] }, h("dt", words[i + 1]), h("dd", x))),
          ),
        ),
      ),
    );
  return h(
    "div.scrollx",
    { tabindex: "0", role: "region", "aria-label": c.t("tv_links") },
    h(
      "table.plaintable",
      h(
        "thead",
        h(
          "tr",
          words.map((x) => h("th", { scope: "col" }, x)),
        ),
      ),
      h(
        "tbody",
        list.map((l) =>
          h(
            "tr",
            { key: l.id },
            h("th", { scope: "row" }, l.name),
            [...facts(l), state(l)].map((x) => h("td", x)),
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
