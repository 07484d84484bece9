// Where one is: the link that says it, and how to go elsewhere.

import * as address from "./address.js";
import { here } from "./here.js";
import * as m from "./model.js";
import { draw } from "./page.js";

export const link = (change = {}) => {
  const told = new Set([...here.said.keys(), ...Object.keys(change)]);
  return address.write({ ...here.ui, ...change }, told);
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
