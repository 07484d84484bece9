// Where one is: the link that says it, and how to go elsewhere.

import * as address from "./address.js";
import { here } from "./here.js";
import * as m from "./model.js";
import { draw } from "./page.js";

/** The link of each place that was asked for from where one is: a table asks for hundreds, the same in every frame. */
let links = { ui: null, said: null, known: new Map() };
const MOST = 5_000;
export const link = (change = {}) => {
  if (links.ui !== here.ui || links.said !== here.said || links.known.size > MOST)
    links = { ui: here.ui, said: here.said, known: new Map() };
  const of = JSON.stringify(change);
  if (!links.known.has(of)) {
    const told = new Set([...here.said.keys(), ...Object.keys(change)]);
    links.known.set(of, address.write({ ...here.ui, ...change }, told));
  }
  return links.known.get(of);
};
export function choose(change) {
  const was = here.ui,
    to = link(change);
  here.ui = { ...here.ui, ...change };
  here.tenant = m.tenantOf(here.state, here.ui.tenant, here.tenant);
  const goes = address.leads(was, here.ui);
  history[goes ? "pushState" : "replaceState"](null, "", to);
  if (goes) {
    here.held = false;
    arrive();
  }
  draw();
}
/** A new place begins at its top, with the focus on its beginning for who does not see. */
function arrive() {
  scrollTo(0, 0);
  requestAnimationFrame(() => document.getElementById("main")?.focus({ preventScroll: true }));
}
export const follow = (change) => (event) => {
  if (event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  choose(change);
};
addEventListener("popstate", () => {
  here.said = new URLSearchParams(location.search);
  const again = address.read(location.search, { lang: here.ui.lang, theme: here.ui.theme });
  here.ui = { ...again.choice, table: here.ui.table };
  here.tenant = m.tenantOf(here.state, here.ui.tenant, here.tenant);
  draw();
});
