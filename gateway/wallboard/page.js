// The page, drawn at most four times a second: what stands where, and no more work than what changed.

import { alertsPage } from "./alertpage.js";
import * as bar from "./bar.js";
import { behind } from "./behind.js";
import { boardsPage } from "./boards.js";
import { context, order, viewOf } from "./context.js";
import { h, show, wipe } from "./dom.js";
import * as f from "./forms.js";
import { here, sizes } from "./here.js";
import { historyPage } from "./history.js";
import * as m from "./model.js";
import { follow, link } from "./place.js";
import * as views from "./views.js";
import { say } from "./voice.js";

const root = document.documentElement,
  app = document.getElementById("app");

/** What stands in the middle of the page. */
function body(c) {
  if (here.refused) return views.door(c, c.t(here.refused), c.t(here.refused + "_2"));
  if (!here.state.ready) return views.loading(c);
  if (c.coming) return views.loading({ ...c, state: m.nothing() }); // numbers of all are none of the board's
  if (c.ui.page === "boards" && c.view !== "tv") return boardsPage(c);
  if (here.tenant === null) return views.empty(c);
  if (here.ui.tenant && here.ui.tenant !== here.tenant)
    return views.door(
      c,
      c.t("no_tenant", here.ui.tenant),
      c.t("no_tenant_2"),
      h("a.button", { href: link({ tenant: null }), onclick: follow({ tenant: null }) }, c.t("go_live")),
    );
  if (c.view === "tv" || here.ui.page === "live")
    return { tv: views.tv, desk: views.desk, phone: views.phone }[c.view](Object.assign(c, { order: order(c) }));
  return { alerts: alertsPage, history: historyPage, behind }[here.ui.page](c);
}

/** Attributes that differ: one that is written again, though it is the same, has every node's style worked out anew. */
export function dress(node, attributes) {
  for (const [name, value] of Object.entries(attributes))
    if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

/** What stands outside the page's own part: its title, the way past the bar. */
function inscribe(c) {
  const name = title(c),
    skip = document.querySelector(".skip");
  if (document.title !== name) document.title = name;
  if (skip.textContent !== c.t("skip")) skip.textContent = c.t("skip");
}

let drawn = 0,
  timer = null,
  due = 0;
export function draw() {
  drawn = performance.now();
  clearTimeout(timer);
  cancelAnimationFrame(due);
  timer = null;
  const c = context(),
    was = root.classList.contains("stalled"),
    live = ["live", "alerts"].includes(here.ui.page) || c.view === "tv";
  dress(root, {
    "data-theme": here.ui.theme,
    "data-view": c.view,
    "data-size": here.ui.size,
    "data-page": here.ui.page,
  });
  dress(root, { lang: c.zh ? "zh-CN" : "en" });
  root.classList.toggle("stalled", !!c.stale && live);
  inscribe(c);
  if (!document.hidden) {
    paint(c);
    measure();
  }
  if (was !== !!c.stale && live && here.state.ready)
    say(
      "polite",
      c.stale
        ? c.at === null
          ? c.t("stopped_none")
          : c.t("stopped", f.clock(c.at, c.zone, { seconds: true }))
        : c.t("live_again"),
    );
}

/** Put the page together; what cannot be drawn says so in place of numbers. */
function paint(c) {
  const frame = (middle) =>
    show(
      app,
      bar.top(c, here.refused),
      here.refused ? null : bar.banner(c),
      bar.notices(c),
      middle,
      c.view === "phone" && !here.refused ? bar.tabs(c) : null,
    );
  try {
    frame(body(c));
    here.broken = false;
  } catch (error) {
    if (!here.broken) console.error(error);
    here.broken = true;
    wipe(app);
    show(app, views.door(c, c.t("broken"), c.t("broken_2")));
  }
}

function title(c) {
  const worst =
    here.tenant === null
      ? null
      : m.alertsOf(here.state, here.tenant).find((a) => a.state === "firing" && a.severity === "critical");
  return `${c.stale ? "▮▮ " : worst ? "▲ " : ""}${c.key && !c.coming ? `${f.count(c.key.backlog)} ${c.t("backlog")} · ` : ""}Tidewatch`;
}

/** Draw again where a drawing's room is another than it was drawn for. The browser says so once it has laid the page out:
    nobody asks for sizes right after writing, which would have it laid out twice. */
const rooms = new ResizeObserver((entries) => {
  let changed = false;
  for (const { target } of entries) {
    const name = target.dataset.measure,
      width = target.clientWidth,
      height = target.clientHeight,
      known = sizes.get(name);
    if (!name || !width || (known?.width === width && (viewOf() !== "tv" || known.height === height))) continue;
    sizes.set(name, { width, height });
    changed = true;
  }
  if (changed) requestAnimationFrame(draw);
});
const watching = new Set();
function measure() {
  for (const node of watching) if (!node.isConnected) (rooms.unobserve(node), watching.delete(node));
  for (const node of document.querySelectorAll("[data-measure]"))
    if (!watching.has(node)) (rooms.observe(node), watching.add(node));
}

/** Draw soon: at most four times a second, on a TV once; with the browser's own next frame, where anybody sees it. */
export function soon() {
  const pace = viewOf() === "tv" ? 1000 : 250,
    wait = drawn + pace - performance.now();
  timer ??= setTimeout(
    () => {
      if (document.hidden) draw();
      else due = requestAnimationFrame(draw);
    },
    Math.max(0, wait),
  );
}
