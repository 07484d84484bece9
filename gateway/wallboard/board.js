// The board begins: keys, clocks, the window; what each sets going is in the modules around it.

import { actions, single, unconfirmed } from "./acts.js";
import { feed, staleness, watch } from "./coming.js";
import { asker, here, pending, sound } from "./here.js";
import { listen } from "./keys.js";
import { stored } from "./liking.js";
import * as m from "./model.js";
import { draw, soon } from "./page.js";
import { link } from "./place.js";
import { WHOLE } from "./views.js";

const TURN = 12e3; // of the ribbon on a wall, where no board says otherwise

listen(actions, single);
if (here.said.has("ticket")) {
  here.said.delete("ticket");
  history.replaceState(null, "", link());
}
if (stored("sound") === "on") sound.unlock().then(draw);
draw();
if (here.refused !== "norole") feed.open();
setInterval(() => {
  unconfirmed();
  soon();
  sound.remind(
    here.tenant !== null &&
      m
        .alertsOf(here.state, here.tenant)
        .some((a) => a.severity === "critical" && a.state === "firing" && !pending.has(a.alert)),
  );
}, 1000);
let stale = null;
setInterval(() => {
  if (staleness() === stale) return;
  stale = staleness();
  draw(); // at once, however seldom this screen is drawn
}, 250);
let turned = performance.now();
setInterval(() => {
  const board = asker.known.get("/v1/boards/" + encodeURIComponent(here.ui.board ?? ""))?.data,
    every = (board?.rotate?.every_s ?? TURN / 1000) * 1000;
  if (!every || performance.now() - turned < every) return;
  turned = performance.now();
  here.turn += 1;
}, 500);
addEventListener("visibilitychange", draw);
addEventListener("pagehide", () => feed.leave());
addEventListener("pageshow", (event) => {
  if (event.persisted && here.refused !== "norole") feed.open();
});
addEventListener("resize", () => {
  here.resized += 1;
  draw();
});
addEventListener(
  "scroll",
  () => {
    if (here.state.ready && m.rowsOf(here.state, here.tenant, here.ui.channel).length > WHOLE) {
      soon();
      scrolled();
    }
  },
  { passive: true },
);
let scrolling = null;
function scrolled() {
  scrolling ??= setTimeout(() => {
    scrolling = null;
    draw();
    watch();
  }, 120);
}
