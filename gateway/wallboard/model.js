// What the page knows: frames merged into one state, and what follows from it. Nothing here touches the page or a clock.

import { fits, whole } from "./patterns.js";
import { sumOf } from "./sums.js";

export * from "./levels.js";
export * from "./matters.js";
export * from "./patterns.js";

const PANES = 180,
  MINUTE = 60e3;
const COLUMNS = ["customer_messages", "arrivals", "expected", "low", "high", "version"];
const LISTS = ["agents", "silences", "events", "alerts"];
const HEAD = [
  "as_of",
  "clocks",
  "server_time",
  "zone",
  "zones",
  "ingest_lag_ms",
  "parity",
  "stale",
  "stale_reason",
  "partitions",
];

/** An instant of the feed in ms. */
export const time = (x) => (x === null || x === undefined ? null : typeof x === "number" ? x : Date.parse(x));

export const idOf = (tenant, queue, channel) => JSON.stringify([tenant, queue, channel]);

/** The state without the histories that nobody keeps up for this page any more. */
export function watching(state, queues, channels) {
  const kept = new Map(
    [...state.keys].map(([id, k]) => [
      id,
      k.series && !(queues.includes(k.queue) && channels.includes(k.channel)) ? { ...k, series: null } : k,
    ]),
  );
  return { ...state, keys: kept };
}

/** Before the first frame. */
export const nothing = () => ({
  ready: false,
  keys: new Map(),
  labels: {},
  viewer: { roles: [], can: [] },
  agents: [],
  silences: [],
  events: [],
  alerts: [],
  clocks: {},
  zones: {},
  zone: "UTC",
  partitions: { total: 0, behind: 0 },
});

/** The state after a frame. A snapshot replaces everything, so whoever comes back is exact. `limits`: those of a board. */
export function merge(state, frame, limits = null) {
  const fresh = frame.kind === "snapshot",
    next = fresh ? nothing() : { ...state, keys: new Map(state.keys) };
  for (const name of HEAD) if (name in frame) next[name] = frame[name];
  for (const name of [...LISTS, "labels", "viewer"]) if (frame[name]) next[name] = frame[name];
  for (const key of frame.keys ?? []) {
    const id = idOf(key.tenant, key.queue, key.channel);
    if (key.gone) next.keys.delete(id);
    else
      next.keys.set(id, limited({ ...key, id, series: joined(next.keys.get(id)?.series ?? null, key.series) }, limits));
  }
  next.ready = true;
  return next;
}

/** A key with the limits of a board in place of its own; the first one that fits counts. */
function limited(key, limits) {
  const own = key.own ?? key.thresholds,
    ours = (limits ?? []).filter((l) => whole(l.queue ?? "*", key.queue) && whole(l.channel ?? "*", key.channel));
  if (!ours.length) return key.own ? { ...key, thresholds: own, own: undefined, worst: undefined } : key;
  return {
    ...key,
    own,
    worst: undefined,
    thresholds: {
      ...own,
      ...Object.fromEntries(
        ours
          .reverse()
          .map((l) => [l.metric, { near: l.near, warning: l.warning, critical: l.critical, min_n: l.min_n }]),
      ),
    },
  };
}

/** The state with other limits. */
export const relimited = (state, limits) => ({
  ...state,
  keys: new Map([...state.keys].map(([id, key]) => [id, limited(key, limits)])),
});

/** Whether a board shows some queues of all: its rows are those, its figures what follows from their sums. */
export const several = (board) => !!board?.queues?.length && !board.queues.includes("*");

/** The figures of the rows of a board in a window, as one key with the board's own limits. */
export const summed = (state, rows, board, limits, window) =>
  once(state, JSON.stringify(["sum", board.name, window, rows.map((k) => k.id)]), () => {
    const key = sumOf(rows, JSON.stringify(["sum", board.name]), [window]);
    return key && limited(key, limits);
  });

/** The rows that a board shows. */
export const ofBoard = (rows, board) => (board ? rows.filter((k) => fits(board.queues, k.queue)) : rows);

/** A history with newer panes in it. */
function joined(old, run) {
  if (!run) return old;
  const start = Date.parse(run.from) / MINUTE,
    width = Math.max(0, ...COLUMNS.map((c) => run[c]?.length ?? 0));
  if (!old) return { start, width, columns: Object.fromEntries(COLUMNS.map((c) => [c, wide(run[c], width)])) };
  const end = Math.max(old.start + old.width, start + width),
    first = Math.max(Math.min(old.start, start), end - PANES),
    columns = {};
  for (const c of COLUMNS) {
    const given = wide(run[c], width);
    columns[c] = Array.from({ length: end - first }, (_, i) => {
      const at = first + i - start;
      return at >= 0 && at < width ? given[at] : known(old, c, first + i);
    });
  }
  return { start: first, width: end - first, columns };
}
/** What a history says of a minute; one that nobody wrote was quiet. */
const QUIET = { customer_messages: 0, arrivals: 0, expected: null, low: null, high: null, version: 0 };
const known = (series, column, minute) =>
  minute >= series.start && minute < series.start + series.width
    ? series.columns[column][minute - series.start]
    : QUIET[column];
const wide = (values, width) =>
  Array.isArray(values)
    ? Array.from({ length: width }, (_, i) => values[i] ?? null)
    : Array(width).fill(values ?? null);

/** [{t, v, a, e, lo, hi, version}], one a minute up to `until`; v is null in minutes that nothing is known of. */
export function panes(key, until, minutes = PANES) {
  const series = key?.series;
  if (!series || !series.width || until === null) return [];
  const last = Math.floor(until / MINUTE),
    out = [],
    at = (c, m) => known(series, c, m);
  for (let m = Math.max(series.start, last - minutes + 1); m <= last; m++)
    out.push({
      t: m * MINUTE,
      v: at("customer_messages", m),
      a: at("arrivals", m),
      e: at("expected", m),
      lo: at("low", m),
      hi: at("high", m),
      version: at("version", m),
    });
  return out;
}

/** The panes as a rate: the minute under way, which is not full yet, stands at `until` with the rate of now. */
export function flowing(data, key, until) {
  const last = data[data.length - 1],
    rate = key?.volume?.rate_per_min;
  if (!last || until - last.t >= MINUTE) return data;
  return rate === null || rate === undefined
    ? data.slice(0, -1)
    : [...data.slice(0, -1), { ...last, t: Math.max(last.t, until), v: rate, a: null }];
}

/** What follows from a state is worked out once, however often a frame asks. */
const worked = new WeakMap();
function once(state, name, work) {
  if (!worked.has(state)) worked.set(state, new Map());
  const known = worked.get(state);
  if (!known.has(name)) known.set(name, work());
  return known.get(name);
}

export const tenants = (state) =>
  once(state, "tenants", () => [...new Set([...state.keys.values()].map((k) => k.tenant))].sort());

/** The tenant shown: the one asked for, else the one with most messages today. */
export function tenantOf(state, asked, kept) {
  const all = tenants(state);
  for (const name of [asked, kept]) if (name && all.includes(name)) return name;
  const today = (name) => state.keys.get(idOf(name, "*", "*"))?.windows?.today?.customer_messages ?? 0;
  return [...all].sort((a, b) => today(b) - today(a) || (a < b ? -1 : 1))[0] ?? null;
}

/** The moment up to which the shown numbers are complete, ms; null before there is one. */
export function asOf(state, tenant) {
  const text = tenant && tenant in (state.clocks ?? {}) ? state.clocks[tenant] : state.as_of;
  return text ? Date.parse(text) : null;
}
export const zoneOf = (state, tenant) => state.zones?.[tenant] ?? state.zone ?? "UTC";

export const keyAt = (state, tenant, queue, channel) => state.keys.get(idOf(tenant, queue, channel)) ?? null;
export const rowsOf = (state, tenant, channel) =>
  once(state, JSON.stringify(["rows", tenant, channel]), () =>
    [...state.keys.values()].filter((k) => k.tenant === tenant && k.channel === channel && k.queue !== "*"),
  );
export const channelsOf = (state, tenant) =>
  once(state, JSON.stringify(["channels", tenant]), () =>
    [
      ...new Set(
        [...state.keys.values()].filter((k) => k.tenant === tenant && k.channel !== "*").map((k) => k.channel),
      ),
    ].sort(),
  );
