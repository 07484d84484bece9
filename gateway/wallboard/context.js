// All that the parts of a page are drawn from, at one moment.

import { actions } from "./acts.js";
import { chosenBoard, sumFor } from "./chosen.js";
import { SILENT, staleness } from "./coming.js";
import { asker, dimension, here, laid, opened, pending, sizes, sound } from "./here.js";
import * as m from "./model.js";
import { dress } from "./page.js";
import { choose, follow, link } from "./place.js";
import { label } from "./say.js";
import { words } from "./words.js";

const root = document.documentElement,
  started = performance.now();

export const viewOf = () => here.ui.view || (matchMedia("(max-width: 37.5em)").matches ? "phone" : "desk");
/** What a pixel of the design is here; asked of the browser once for a size of the window, a view and a font. */
let units = { of: "", U: 1 };
function unit(view) {
  const of = `${innerWidth}×${innerHeight} ${view} ${here.ui.size} ${here.resized}`;
  if (units.of === of) return units.U;
  dress(root, { "data-view": view, "data-size": here.ui.size });
  units = { of, U: parseFloat(getComputedStyle(root).fontSize) / 16 };
  return units.U;
}

export function context() {
  const zh = here.ui.lang === "zh",
    t = words(here.ui.lang),
    view = viewOf(),
    at = here.state.ready ? m.asOf(here.state, here.tenant) : null,
    stale = staleness(),
    now = performance.now(),
    U = unit(view);
  const { board, trouble, coming } = chosenBoard(),
    rows = here.tenant === null ? [] : m.ofBoard(m.rowsOf(here.state, here.tenant, here.ui.channel), board),
    summed = sumFor(board, rows, view),
    server = here.state.server_time ? Date.parse(here.state.server_time) + (here.heard ? now - here.heard : 0) : null;
  return {
    state: here.state,
    ui: here.ui,
    lang: here.ui.lang,
    zh,
    t,
    view,
    at,
    tenant: here.tenant,
    stale,
    attempt: here.attempt,
    garbled: here.garbled,
    notice: here.notice,
    strange: here.strange,
    pending,
    opened,
    laid,
    dimension,
    selected: here.selected,
    board,
    trouble,
    coming,
    U,
    turn: here.turn,
    many: m.tenants(here.state).length > 1,
    sound: sound.state,
    zone: m.zoneOf(here.state, here.tenant),
    today: server,
    waited: now - started,
    now,
    visible: here.visible,
    summed,
    key: summed
      ? summed.sum
      : here.tenant === null
        ? null
        : m.keyAt(here.state, here.tenant, here.ui.queue, here.ui.channel),
    rows,
    queues: summed ? rows.map((k) => k.queue) : here.ui.queue === "*" ? null : [here.ui.queue],
    tiles: board?.tiles?.length ? board.tiles : null,
    ribbons: board?.rotate?.ribbons?.length ? board.rotate.ribbons : ["queues", "topics", "agents"],
    stopped: m.alertsOf(here.state, here.tenant).some((a) => a.severity === "critical" && a.state === "firing"),
    elapsed: stale || here.elapsedFrom === null ? 0 : Math.min(now - here.elapsedFrom, SILENT),
    staleFor: at === null || server === null || server - at > 864e5 ? null : Math.max(0, server - at),
    size: (id) => sizes.get(id) ?? { width: guess(id, view), height: 330 * U },
    can: (right) => (here.state.viewer?.can ?? []).includes(right),
    ask: (url, every) => asker.get(url, every),
    again: (url) => asker.again(url),
    see: (ids) => {
      here.visible = ids;
    },
    kept,
    link,
    follow,
    choose,
    do: actions,
  };
}
const guess = (id, view) =>
  view === "tv"
    ? innerWidth * (id === "tide" ? 0.57 : 0.38)
    : view === "phone"
      ? innerWidth - 32
      : id === "tide"
        ? innerWidth - 432
        : innerWidth - 48;

/** The rows that the filter leaves, in the order they stand in. */
export function order(c) {
  const name = (k) => label(c, "queue", k.queue),
    left = here.ui.filter
      ? c.rows.filter((k) => m.matches(here.ui.filter, name(k)) || m.matches(here.ui.filter, k.queue))
      : c.rows;
  const wanted = m.sorted(left, here.ui.sort, here.ui.window, name).map((k) => k.id),
    why = JSON.stringify([
      here.ui.sort,
      here.ui.filter,
      here.ui.window,
      here.ui.channel,
      here.tenant,
      here.ui.lang,
      here.ui.board,
    ]);
  here.settled =
    why === here.settledFor
      ? m.settle(here.settled, wanted, performance.now(), here.held)
      : { order: wanted, since: new Map() };
  here.settledFor = why;
  return here.settled.order;
}

/** Descriptions made before of the same things: a part that did not change is not even looked at. */
const made = new Map();
function kept(name, of, make) {
  if (made.get(name)?.of !== of) made.set(name, { of, node: make() });
  return made.get(name).node;
}
