// The board that a link names: its limits, its one queue or channel, the sum of its several.

import { limitsOf } from "./boards.js";
import { asker, here } from "./here.js";
import * as m from "./model.js";
import { choose } from "./place.js";

/** A board of one queue or one channel begins with its numbers. */
function adopt(board) {
  if (!board || here.adopted === board.name) return;
  here.adopted = board.name;
  const only = (list) => (list?.length === 1 && !list[0].includes("*") ? list[0] : "*");
  const change = {
    queue: here.ui.queue === "*" ? only(board.queues) : here.ui.queue,
    channel: here.ui.channel === "*" ? only(board.channels) : here.ui.channel,
  };
  if (change.queue !== here.ui.queue || change.channel !== here.ui.channel) queueMicrotask(() => choose(change));
}

/** The board that the link names, once it has been read; and its limits, which every key then carries. */
export function chosenBoard() {
  const answer =
    here.ui.board && here.ui.page !== "boards" && here.state.ready
      ? asker.get("/v1/boards/" + encodeURIComponent(here.ui.board), 60e3)
      : null;
  const board = answer?.state === "ok" ? answer.data : null,
    text = JSON.stringify(board?.thresholds ?? null);
  if (text !== here.limitsFor) {
    [here.limitsFor, here.limits] = [text, limitsOf(board)];
    here.state = m.relimited(here.state, here.limits);
  }
  adopt(board);
  return { board, trouble: answer?.state === "error" ? answer.error : null, coming: answer?.state === "loading" };
}

/** What stands for the queues of a board that shows several: their sum, under the board's name. Null: nothing does. */
export function sumFor(board, rows, view) {
  if (!m.several(board) || here.ui.queue !== "*" || (here.ui.page !== "live" && view !== "tv")) return null;
  return {
    rows,
    sum: m.summed(here.state, rows, board, here.limits, here.ui.window),
    name: board.title?.[here.ui.lang] || board.name,
  };
}
