// What the page holds: what was chosen, what came in, what is under way. One record, read and changed by the modules around it.

import * as address from "./address.js";
import { Asker } from "./ask.js";
import { liked } from "./liking.js";
import * as m from "./model.js";
import { soon } from "./page.js";
import { Sound } from "./voice.js";

const first = address.read(location.search, liked()),
  said = new URLSearchParams(location.search);

export const here = {
  said, // what the link says
  ui: { ...first.choice, table: false }, // what was chosen
  strange: first.strange, // what of the link was not understood
  state: m.nothing(), // what came in
  tenant: null,
  attempt: 0,
  garbled: false,
  refused: { no: "signin", role: "norole" }[document.documentElement.dataset.signed] ?? null,
  heard: null, // when the last frame came
  wasAt: null, // as of when its numbers are, and when that was heard
  elapsedFrom: null,
  watched: "", // whose history was asked for
  visible: [], // the rows in sight
  notice: "", // what could not be done
  selected: said.get("alert"),
  held: false, // rows stand still under the pointer
  settled: { order: [], since: new Map() },
  settledFor: "",
  turn: 0, // of the ribbon
  resized: 0,
  limits: null, // those of the board chosen
  limitsFor: "",
  adopted: "",
  broken: false,
};

/** Acknowledgements on their way, and when each was given; rooms of drawings; cards and lists that are open. */
export const pending = new Map(),
  sizes = new Map(),
  opened = new Set(),
  laid = new Set(),
  dimension = new Map(),
  sound = new Sound(),
  asker = new Asker(() => soon());
