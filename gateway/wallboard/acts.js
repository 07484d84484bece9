// What a reader can do, by name: for keys, buttons and links alike.

import * as address from "./address.js";
import { feed, watch } from "./coming.js";
import { context } from "./context.js";
import { askReason, help } from "./dialogs.js";
import * as f from "./forms.js";
import { dimension, here, laid, opened, pending, sound } from "./here.js";
import { store, stored } from "./liking.js";
import * as m from "./model.js";
import { draw, soon } from "./page.js";
import { parts } from "./parts.js";
import { choose, link } from "./place.js";
import { say } from "./voice.js";
import { words } from "./words.js";

const CONFIRM = 10e3;

const T = (...of) => words(here.ui.lang)(...of);
const may = (right) => (here.state.viewer?.can ?? []).includes(right);
async function carried(wish, undo) {
  const reply = await feed.ask(wish);
  if (!reply.ok) {
    undo?.();
    here.notice = T("refused", reply.error ?? T("no_answer"));
    say("polite", here.notice);
  }
  draw();
  return reply;
}
const toggled = (name, a, b) => {
  const next = here.ui[name] === a ? b : a;
  store(name, next);
  choose({ [name]: next });
};
const current = () => {
  const open = m.alertsOf(here.state, here.tenant).filter((a) => a.state !== "resolved");
  return open.find((a) => a.alert === here.selected) ?? open[0] ?? null;
};
export const actions = {
  lang: () => toggled("lang", "zh", "en"),
  theme: () => toggled("theme", "dark", "light"),
  tv: () => choose({ view: here.ui.view === "tv" ? "" : "tv" }),
  arrivals: () => choose({ arrivals: !here.ui.arrivals }),
  table: () => choose({ table: !here.ui.table }),
  window: (window) => choose({ window }),
  page: (page) => choose({ ...address.SURFACE, page }),
  up() {
    const up = address.above(here.ui);
    if (up) choose(up);
  },
  filter: () => document.getElementById("filter")?.focus(),
  narrow(filter) {
    choose({ filter });
    say(
      "polite",
      T(
        "found",
        f.count(here.settled.order.length),
        f.count(m.rowsOf(here.state, here.tenant, here.ui.channel).length),
      ),
    );
  },
  queue(name) {
    choose({ queue: here.ui.queue === name ? "*" : name });
    watch();
  },
  sort(id) {
    const usual = id === "name" ? "-" + id : id;
    choose({ sort: here.ui.sort !== usual ? usual : usual.startsWith("-") ? id : "-" + id });
  },
  hold: (on) => {
    here.held = on;
  },
  select(id) {
    if (here.selected === id) return;
    here.selected = id;
    soon();
  },
  /** A list was opened or shut; nothing is made of one that is shut. */
  lay(name, open) {
    if (open === laid.has(name)) return;
    if (open) laid.add(name);
    else laid.delete(name);
    draw();
  },
  unfold(id) {
    if (!opened.delete(id)) opened.add(id);
    draw();
  },
  dimension(id, name) {
    dimension.set(id, name);
    draw();
  },
  noBoard: () => choose({ board: null }),
  dismiss() {
    here.notice = "";
    draw();
  },
  understood() {
    here.strange = [];
    history.replaceState(null, "", link());
    draw();
  },
  order: (wish) => carried(wish),
  ack(id) {
    pending.set(id, performance.now());
    draw();
    return carried({ ack: id }, () => pending.delete(id));
  },
  silence: (alert) => askReason(context(), alert, carried),
  ackCurrent() {
    const a = current();
    if (a?.state === "firing" && may("ack")) actions.ack(a.alert);
  },
  silenceCurrent() {
    const a = current();
    if (a && may("silence")) actions.silence(a);
  },
  parts: (where) => parts(context(), where),
  help: () => help(context(), single(), (on) => store("keys", on ? "on" : "off")),
  read() {
    document.getElementById("polite").textContent = "";
    say("polite", spoken(context()), true);
  },
  async sound() {
    const was = sound.state;
    if (was !== "on") await sound.unlock();
    if (was === "on" || (was === "blocked" && sound.state === "blocked")) sound.off();
    store("sound", sound.state === "off" ? "" : "on");
    draw();
  },
};
export const single = () => stored("keys") !== "off";

/** What was taken and then never shown as done counts as not done. */
export function unconfirmed() {
  for (const [id, at] of pending)
    if (performance.now() - at > CONFIRM) {
      pending.delete(id);
      here.notice = T("unconfirmed");
    }
}

/** The figures in one sentence. */
function spoken(c) {
  const w = c.key?.windows?.[here.ui.window],
    criticals =
      here.tenant === null
        ? 0
        : m.alertsOf(here.state, here.tenant).filter((a) => a.severity === "critical" && a.state !== "resolved").length;
  const oldest = c.key?.oldest_ms ?? null;
  return c.t(
    "readout",
    f.count(c.key?.backlog),
    f.span(oldest === null ? null : oldest + c.elapsed, c.zh),
    f.percent(w?.service_level),
    criticals,
  );
}
