// What is asked in a window of its own: the reason of a silence, the keys.

import { h, show } from "./dom.js";
import { label } from "./say.js";

const host = document.getElementById("dialogs");
export const isOpen = () => !!host.firstChild;

/** Open a dialog; the focus goes back to where it was when it closes. */
export function dialog(name, ...kids) {
  const was = document.activeElement;
  const closed = () => {
    show(host);
    was?.focus?.();
  };
  show(host, h("dialog", { "aria-label": name, onclose: closed }, kids));
  host.firstChild.showModal();
  return host.firstChild;
}

const LABELS = ["tenant", "rule", "queue", "channel"];

/** Ask why and for how long an alert is to be silenced; `send(order)` is called with the answer. */
export function askReason(c, alert, send) {
  const title = c.t("silence_title", label(c, "queue", alert.queue ?? "*"));
  const match = Object.fromEntries(LABELS.map((x) => [x, alert[x]]).filter(([, x]) => typeof x === "string" && x));
  const submit = (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    box.close();
    send({ silence: { match, minutes: Number(form.get("minutes")), reason: String(form.get("reason")).trim() } });
  };
  const box = dialog(
    title,
    h(
      "form",
      { onsubmit: submit },
      h("h2", title),
      reason(c),
      howLong(c),
      answers(c, "silence_do", () => box.close()),
    ),
  );
  box.querySelector("input").focus();
}

const reason = (c) =>
  h(
    "label",
    h("span", c.t("reason")),
    h("input", { name: "reason", required: true, maxlength: 200, autocomplete: "off", placeholder: c.t("reason_ph") }),
  );
const howLong = (c) =>
  h(
    "label",
    h("span", c.t("minutes")),
    h(
      "select",
      { name: "minutes" },
      [15, 60, 240, 480].map((n) =>
        h("option", { value: n, selected: n === 60 }, n < 60 ? c.t("min", n) : c.t("hour", n / 60)),
      ),
    ),
  );
/** The two buttons under a form. */
export const answers = (c, word, cancel) =>
  h(
    "div.abtns",
    h("button.primary", { type: "submit" }, c.t(word)),
    h("button", { type: "button", onclick: cancel }, c.t("cancel")),
  );

const KEYS = [
  ["/", "k_filter"],
  ["J K", "k_move"],
  ["← →", "k_cells"],
  ["Enter", "k_open"],
  ["Esc", "k_up"],
  ["A", "k_ack"],
  ["S", "k_silence"],
  ["G L · G H · G A", "k_go"],
  ["1 2 3 4", "k_window"],
  ["T", "k_tv"],
  ["D", "k_theme"],
  ["E", "k_lang"],
  ["M", "k_sound"],
  ["R", "k_read"],
  ["?", "k_help"],
];

/** The keys, and the switch that turns single letters off. */
export function help(c, single, change) {
  const row = ([keys, id]) =>
    h(
      "div",
      h(
        "dt",
        keys.split(" ").map((x) => (x === "·" ? " · " : h("kbd", x))),
      ),
      h("dd", c.t(id)),
    );
  const box = dialog(
    c.t("keys"),
    h("h2", c.t("keys")),
    h("dl.keys", KEYS.map(row)),
    h(
      "label.check",
      h("input", { type: "checkbox", checked: single, onchange: (event) => change(event.target.checked) }),
      h("span", c.t("single_keys")),
    ),
    h("div.abtns", h("button", { type: "button", onclick: () => box.close() }, c.t("close"))),
  );
}
