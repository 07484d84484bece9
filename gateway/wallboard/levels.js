// Levels against limits, and the order of rows. Pure.

// 0 none, 1 near, 2 warning, 3 critical, against the limits that came with the key.

/** Whether a metric is worse the lower it is, as its limits say. */
const falls = (l) => (l.critical ?? l.warning) < (l.near ?? l.warning);

/** Fewer cases than this say nothing, where no limit says otherwise. */
const FEW = 20;

export function level(key, metric, value, n = null) {
  const l = key?.thresholds?.[metric];
  if (!l || value === null || value === undefined || (n !== null && n < (l.min_n ?? FEW))) return 0;
  const low = falls(l);
  for (const [name, at] of [
    ["critical", 3],
    ["warning", 2],
    ["near", 1],
  ]) {
    const edge = l[name];
    if (edge !== null && edge !== undefined && (low ? value < edge : value >= edge)) return at;
  }
  return 0;
}

/** The limit that is crossed, or would be next: {value, low}. */
export function edge(key, metric, at) {
  const l = key?.thresholds?.[metric];
  if (!l) return null;
  return { value: (at >= 3 ? l.critical : l.warning) ?? l.warning ?? l.critical ?? null, low: falls(l) };
}

export const judged = (w) => (w ? w.offered - w.short_abandoned - w.undecided : 0);
export const left = (w) => (w ? w.offered - w.short_abandoned : 0);

/** Every figure of a key in a window with its n, and its level. */
export function figures(key, window) {
  const w = key?.windows?.[window] ?? null,
    at = (metric, value, n) => ({ value: value ?? null, n, level: level(key, metric, value, n) });
  return {
    window: w,
    backlog: at("backlog", key?.backlog, null),
    oldest: at("oldest_ms", key?.oldest_ms, null),
    unassigned: at("unassigned", key?.unassigned, null),
    frt: at("frt_p90_km_ms", w?.frt_p90_km_ms, w?.frt_km_n ?? 0),
    sl: at("service_level", w?.service_level, judged(w)),
    abandon: at("abandon_rate", w?.abandon_rate, left(w)),
    sentiment: at("sentiment", key?.sentiment, key?.sentiment_n ?? 0),
  };
}

/** How bad a queue is at a glance: its surge, its waiting. */
export function worstLevel(key) {
  return (key.worst ??= Math.max(
    key.volume?.surge ? 3 : key.volume?.lull ? 2 : 0,
    level(key, "backlog", key.backlog),
    level(key, "oldest_ms", key.oldest_ms),
  ));
}

const order = new Intl.Collator(undefined, { numeric: true });

const by = {
  worst: (a, b) =>
    Number(b.volume?.surge ?? 0) - Number(a.volume?.surge ?? 0) ||
    worstLevel(b) - worstLevel(a) ||
    b.backlog - a.backlog,
  name: (a, b, name) => order.compare(name(b), name(a)),
  rate: (a, b) => num(b.volume?.rate_per_min) - num(a.volume?.rate_per_min),
  backlog: (a, b) => b.backlog - a.backlog,
  oldest: (a, b) => num(b.oldest_ms) - num(a.oldest_ms),
  unassigned: (a, b) => num(b.unassigned) - num(a.unassigned),
  frt: (a, b, _, w) => num(b.windows?.[w]?.frt_p90_km_ms) - num(a.windows?.[w]?.frt_p90_km_ms),
  sl: (a, b, _, w) => num(a.windows?.[w]?.service_level, 2) - num(b.windows?.[w]?.service_level, 2),
  abandon: (a, b, _, w) => num(b.windows?.[w]?.abandon_rate) - num(a.windows?.[w]?.abandon_rate),
  sentiment: (a, b) => num(a.sentiment, 2) - num(b.sentiment, 2),
};
const num = (x, otherwise = -1) => x ?? otherwise;
export const byName = (rows, name) => [...rows].sort((a, b) => order.compare(name(a), name(b)));
export const SORTS = Object.keys(by);

/** Rows in an order that does not hang on how they came. `sort` is a column, with a leading `-` the other way round. */
export function sorted(rows, sort, window, name) {
  const known = ordered.get(rows) ?? new Map(),
    back = sort.startsWith("-"),
    id = sort.replace("-", ""),
    how = by[id] ?? by.worst;
  if (id !== "name" && known.has(sort + window)) return known.get(sort + window);
  const found = [...rows].sort((a, b) => (back ? -1 : 1) * how(a, b, name, window) || (a.queue < b.queue ? -1 : 1));
  ordered.set(rows, known.set(sort + window, found));
  return found;
}
/** Rows that stay the same are sorted once, however often a frame asks. */
const ordered = new WeakMap();

const HOLD = 10e3;

/** A settled order: a row moves only when its place has differed for 10 s, and never while it is `held`. */
export function settle(was, wanted, now, held) {
  const there = new Set(wanted),
    before = new Set(was.order),
    kept = was.order.filter((id) => there.has(id)),
    rank = new Map(wanted.map((id, i) => [id, i]));
  if (was.order.length === 0) return { order: wanted, since: new Map() };
  const since = new Map();
  let high = -1;
  const wrong = new Set();
  for (const id of kept) rank.get(id) < high ? wrong.add(id) : (high = rank.get(id));
  for (const id of wrong) since.set(id, was.since.get(id) ?? now);
  const moving = held ? [] : [...wrong].filter((id) => now - since.get(id) >= HOLD);
  const fresh = wanted.filter((id) => !before.has(id));
  if (!moving.length && !fresh.length) return { order: kept, since };
  const loose = new Set([...moving, ...fresh]),
    order = kept.filter((id) => !loose.has(id));
  for (const id of wanted.filter((x) => loose.has(x))) {
    const at = order.findIndex((other) => rank.get(other) > rank.get(id));
    order.splice(at < 0 ? order.length : at, 0, id);
    since.delete(id);
  }
  return { order, since };
}
