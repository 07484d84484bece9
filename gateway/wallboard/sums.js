// The figures of several queues together: what adds up is added, what follows from sums follows; the rest is unknown. Pure.

const Z = 1.959964; // two-sided 95 %
const TEXT = new Set(["formula_id", "version"]);
/** How many episodes stand where now: numbers of a moment, not of a window, that add up. */
export const STANDING = [
  "open",
  "with_bot",
  "awaiting_first",
  "awaiting_reply",
  "waiting_on_customer",
  "backlog",
  "unassigned",
  "over_target",
];
const WINDOWS = ["1m", "5m", "30m", "today"];

const known = (list) => list.filter((x) => x !== null && x !== undefined);
const sum = (list) => (known(list).length ? known(list).reduce((a, b) => a + b, 0) : null);
const most = (list) => (known(list).length ? Math.max(...known(list)) : null);
const same = (list) => (list.every((x) => JSON.stringify(x) === JSON.stringify(list[0])) ? list[0] : null);
const share = (part, whole) => (whole ? part / whole : null);

/** The smallest value that the share `q` of all does not exceed; null of nothing. */
export function percentile(hist, q) {
  const lower = Object.keys(hist)
      .map(Number)
      .sort((a, b) => a - b),
    rank = Math.ceil(q * lower.reduce((n, x) => n + hist[x], 0) - 1e-9);
  let seen = 0;
  for (const x of lower) if ((seen += hist[x]) >= rank) return x;
  return null;
}

/** The 95 % interval of a share. */
export function wilson(good, n) {
  if (!n) return [null, null];
  const p = good / n,
    middle = (p + (Z * Z) / (2 * n)) / (1 + (Z * Z) / n),
    half = (Z * Math.sqrt((p * (1 - p)) / n + (Z * Z) / (4 * n * n))) / (1 + (Z * Z) / n);
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}

/** The columns that add up, added. */
function added(windows) {
  const out = {};
  for (const w of windows)
    for (const [name, x] of Object.entries(w))
      if (typeof x === "number" && !TEXT.has(name)) out[name] = (out[name] ?? 0) + x;
  return out;
}

/** A window of several keys. Percentiles with those still waiting need each wait, which a page does not have. */
function windowOf(windows) {
  const w = added(windows),
    hist = {};
  for (const one of windows)
    for (const [lower, n] of Object.entries(one.frt_hist ?? {})) hist[lower] = (hist[lower] ?? 0) + n;
  const [low, high] = wilson(w.csat_good, w.ratings);
  return {
    ...w,
    formula_id: windows[0].formula_id,
    frt_hist: hist,
    frt_avg_ms: share(w.frt_sum_ms, w.frt_n),
    frt_p50_ms: percentile(hist, 0.5),
    frt_p90_ms: percentile(hist, 0.9),
    frt_p50_km_ms: null,
    frt_p50_km_censored: false,
    frt_p90_km_ms: null,
    frt_p90_km_censored: false,
    service_level: share(w.answered_in_target, w.offered - w.short_abandoned - w.undecided),
    connect: share(w.connected, w.offered),
    answered_only: share(w.answered_in_target, w.answered),
    provisional: w.undecided > 0,
    abandon_rate: share(w.abandoned - w.short_abandoned, w.offered - w.short_abandoned),
    csat: share(w.csat_good, w.ratings),
    csat_low: low,
    csat_high: high,
  };
}

/** Moods, each weighed by how many messages it is of. */
function mood(keys) {
  const told = keys.filter((k) => k.sentiment !== null && k.sentiment !== undefined && k.sentiment_n),
    n = told.reduce((all, k) => all + k.sentiment_n, 0);
  return { sentiment: n ? told.reduce((all, k) => all + k.sentiment * k.sentiment_n, 0) / n : null, sentiment_n: n };
}

/** Topics, counted together; how unusual they are together nobody knows. */
function topics(keys) {
  if (!keys.some((k) => k.topics)) return null;
  const counts = new Map();
  for (const x of keys.flatMap((k) => k.topics ?? [])) counts.set(x.topic, (counts.get(x.topic) ?? 0) + x.count);
  return [...counts].map(([topic, count]) => ({ topic, count, share: null, change: null }));
}

/** Histories added minute by minute, where all of them are known; the range of a sum is not the sum of ranges. */
function seriesOf(list) {
  if (!list.length || list.some((x) => !x)) return null;
  const start = Math.max(...list.map((x) => x.start)),
    width = Math.max(0, Math.min(...list.map((x) => x.start + x.width)) - start),
    at = (name) => Array.from({ length: width }, (_, i) => sum(list.map((x) => x.columns[name][start - x.start + i]))),
    none = Array(width).fill(null);
  return {
    start,
    width,
    columns: {
      customer_messages: at("customer_messages"),
      arrivals: at("arrivals"),
      expected: none,
      low: none,
      high: none,
      version: none,
    },
  };
}

/** One key that stands for several of a tenant and channel, in these windows; null of none. `id` is what it goes by. */
export function sumOf(keys, id, names = WINDOWS) {
  if (!keys.length) return null;
  const [first] = keys,
    windows = (name) => keys.map((k) => k.windows?.[name]).filter(Boolean);
  return {
    id,
    tenant: first.tenant,
    queue: "*",
    channel: first.channel,
    parts: keys.length,
    ...Object.fromEntries(STANDING.map((name) => [name, sum(keys.map((k) => k[name]))])),
    oldest_ms: most(keys.map((k) => k.oldest_ms)),
    ages: first.ages?.map((_, i) => sum(keys.map((k) => k.ages?.[i] ?? 0))),
    drain_s: null,
    targets: same(keys.map((k) => k.targets)),
    thresholds: {},
    windows: Object.fromEntries(names.filter((x) => windows(x).length).map((x) => [x, windowOf(windows(x))])),
    volume: { rate_per_min: sum(keys.map((k) => k.volume?.rate_per_min)) },
    series: seriesOf(keys.map((k) => k.series)),
    restated: [],
    topics: topics(keys),
    keywords: [],
    ...mood(keys),
  };
}
