// What a link says: which page, of what, in which language. Pure: text in, choice out; and what it did not understand.

import { SORTS } from "./model.js";
import { LANGS } from "./words.js";

export const WINDOWS = ["1m", "5m", "30m", "today"];
export const PAGES = ["live", "history", "alerts", "boards"];
export const PERIODS = ["today", "yesterday", "7d", "30d"];

const sorts = [...SORTS, ...SORTS.map((x) => "-" + x)];
/** Every key of a link: what it may say (null: any text), and what is meant where it says nothing. */
const KEYS = {
  lang: { allowed: LANGS },
  theme: { allowed: ["dark", "light"] },
  view: { allowed: ["", "tv", "desk", "phone"], usual: "" },
  size: { allowed: ["", "xl"], usual: "" },
  page: { allowed: [...PAGES, "behind"], usual: "live" },
  tenant: { usual: null },
  queue: { usual: "*" },
  channel: { usual: "*" },
  window: { allowed: WINDOWS, usual: "30m" },
  sort: { allowed: sorts, usual: "worst" },
  filter: { usual: "" },
  arrivals: { flag: true, usual: false },
  of: { usual: null },
  at: { usual: null },
  topic: { usual: null },
  agent: { usual: null },
  alert: { usual: null },
  period: { allowed: PERIODS, usual: "7d" },
  from: { usual: null },
  to: { usual: null },
  conversation: { usual: null },
  episode: { usual: null },
  receipt: { usual: null },
  board: { usual: null },
};
/** Keys that say where one is, so that going there is a step that the browser's Back undoes. */
const PLACES = ["page", "of", "at", "topic", "agent", "conversation", "episode", "receipt", "board"];
/** What belongs to a drill-down and falls away where it is left. */
export const SURFACE = {
  of: null,
  at: null,
  topic: null,
  agent: null,
  from: null,
  to: null,
  conversation: null,
  episode: null,
  receipt: null,
};
const LONGEST = 200;

/** What a link says. `liked`: this reader's language and theme where the link is silent. */
export function read(search, liked) {
  const said = new URLSearchParams(search),
    choice = { ...liked },
    strange = [];
  for (const [name, { usual }] of Object.entries(KEYS)) if (usual !== undefined) choice[name] = usual;
  for (const [name, value] of said) {
    const key = KEYS[name];
    if (name === "ticket") continue;
    if (!key || value.length > LONGEST || (key.allowed && !key.allowed.includes(value)))
      strange.push(`${name}=${value}`.slice(0, 60));
    else choice[name] = key.flag ? true : value;
  }
  return { choice, strange };
}

/** The link that says `choice`: only what differs from the usual, and language and theme where they were said. */
export function write(choice, said) {
  const out = new URLSearchParams();
  for (const [name, { usual, flag }] of Object.entries(KEYS)) {
    const value = choice[name];
    if (usual === undefined ? said.has(name) : value && value !== usual) out.set(name, flag ? "" : value);
  }
  const text = out.toString();
  return "/" + (text ? "?" + text : "");
}

/** Whether a change leads to another place. */
export const leads = (was, now) => PLACES.some((name) => was[name] !== now[name]);

/** One step up from where a choice stands; null: there is none. */
export function above(choice) {
  if (choice.receipt) return { receipt: null };
  if (choice.conversation) return { conversation: null, episode: null };
  if (choice.page === "behind") return { ...SURFACE, page: "live" };
  if (choice.board) return { board: null };
  if (choice.filter) return { filter: "" };
  if (choice.page === "live" && choice.queue !== "*") return { queue: "*" };
  return choice.page === "live" ? null : { page: "live" };
}
