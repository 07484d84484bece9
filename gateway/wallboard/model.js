// What the page knows: frames merged into one state, and what follows from it. Nothing here touches the page or a clock.

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

/** The rows that a board shows. */
export const ofBoard = (rows, board) => rows.filter((k) => fits(board?.queues, k.queue));

/** Whether a name is one of those that patterns allow; none allow all. */
export const fits = (patterns, name) => !patterns?.length || patterns.some((pattern) => whole(pattern, name));

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

/* ── levels: 0 none, 1 near, 2 warning, 3 critical, against the limits that came with the key ─────────────────── */

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
  const back = sort.startsWith("-"),
    how = by[sort.replace("-", "")] ?? by.worst;
  return [...rows].sort((a, b) => (back ? -1 : 1) * how(a, b, name, window) || (a.queue < b.queue ? -1 : 1));
}

const HOLD = 10e3;

/** A settled order: a row moves only when its place has differed for 10 s, and never while it is `held`. */
export function settle(was, wanted, now, held) {
  const there = new Set(wanted),
    kept = was.order.filter((id) => there.has(id)),
    rank = new Map(wanted.map((id, i) => [id, i]));
  if (was.order.length === 0) return { order: wanted, since: new Map() };
  const since = new Map();
  let high = -1;
  const wrong = new Set();
  for (const id of kept) rank.get(id) < high ? wrong.add(id) : (high = rank.get(id));
  for (const id of wrong) since.set(id, was.since.get(id) ?? now);
  const moving = held ? [] : [...wrong].filter((id) => now - since.get(id) >= HOLD);
  const fresh = wanted.filter((id) => !was.order.includes(id));
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

/* ── alerts ──────────────────────────────────────────────────────────────────────────────────────────────────── */

const SEVERE = { critical: 0, warning: 1, info: 2 },
  STATE = { firing: 0, acknowledged: 1, resolved: 2 };

export const alertsOf = (state, tenant) =>
  state.alerts
    .filter((a) => a.tenant === tenant || a.tenant === "*")
    .sort(
      (a, b) =>
        (a.state === "resolved") - (b.state === "resolved") ||
        SEVERE[a.severity] - SEVERE[b.severity] ||
        STATE[a.state] - STATE[b.state] ||
        (a.since < b.since ? 1 : -1),
    );

/** A pattern with `*` against a text, as a filter types it. */
export function matches(pattern, text) {
  const parts = pattern.toLowerCase().split("*"),
    value = text.toLowerCase();
  if (parts.length === 1) return value.includes(parts[0]);
  let at = 0;
  for (let i = 0; i < parts.length; i++) {
    const found = value.indexOf(parts[i], at);
    if (found < 0 || (i === 0 && found !== 0)) return false;
    at = found + parts[i].length;
  }
  return parts[parts.length - 1] === "" || value.endsWith(parts[parts.length - 1]);
}
const whole = (pattern, text) => (pattern.includes("*") ? matches(pattern, text) : pattern === text);

/** The silence over an alert, or null. A new one counts at once, before the alert itself says so. */
export function silenceOf(state, alert, now) {
  const over = state.silences.filter(
    (s) =>
      (s.tenant === alert.tenant || s.tenant === "*") &&
      time(s.until) > now &&
      Object.entries(s.match ?? {}).every(([name, pattern]) =>
        whole(pattern, String(alert[name] ?? alert.labels?.[name] ?? "")),
      ),
  );
  return (
    over.find((s) => s.by === alert.silenced_by) ??
    over[0] ??
    (alert.silenced_by ? { id: null, until: null, by: alert.silenced_by, reason: "" } : null)
  );
}

/** "surge" or "lull" where that is what an alert is about, else null. */
export const volumeKind = (alert) => ["surge", "lull"].find((kind) => (alert.metric ?? alert.rule) === kind) ?? null;

/** Whole numbers that add up to the whole total, as the parts do. */
export function addUp(parts) {
  const total = Math.round(parts.reduce((sum, x) => sum + x, 0)),
    down = parts.map(Math.floor),
    order = parts.map((x, i) => [x - Math.floor(x), i]).sort((a, b) => b[0] - a[0] || a[1] - b[1]);
  let missing = total - down.reduce((sum, x) => sum + x, 0);
  for (const [, i] of order)
    if (missing > 0) {
      down[i] += 1;
      missing -= 1;
    }
  return { parts: down, total };
}

/** The queue whose tide is worth drawing: the one chosen, else the worst volume alert's, else all. */
export function tideKey(state, tenant, queue, channel) {
  if (queue !== "*") return keyAt(state, tenant, queue, channel);
  const alert = alertsOf(state, tenant).find(
    (a) => a.state !== "resolved" && volumeKind(a) && keyAt(state, tenant, a.queue, channel),
  );
  const surging = alert
    ? null
    : sorted(
        rowsOf(state, tenant, channel).filter((k) => k.volume?.surge),
        "rate",
        "30m",
      )[0];
  return (alert && keyAt(state, tenant, alert.queue, channel)) ?? surging ?? keyAt(state, tenant, "*", channel);
}

/** Agents of a tenant, of one queue or all; free slots, and of how many nobody knows. */
export function staff(state, tenant, queue) {
  const agents = state.agents.filter((a) => a.tenant === tenant && (queue === "*" || (a.queues ?? []).includes(queue)));
  const online = agents.filter((a) => a.status === "online"),
    sum = (list, f) => list.reduce((total, a) => total + f(a), 0);
  const unknown = online.filter((a) => a.capacity === null || a.capacity === undefined);
  return {
    agents,
    unknown: unknown.length,
    by: Object.fromEntries(
      ["online", "busy", "away", "offline"].map((st) => [st, agents.filter((a) => a.status === st).length]),
    ),
    free:
      !agents.length || (online.length && unknown.length === online.length)
        ? null
        : sum(online, (a) => Math.max(0, (a.capacity ?? a.open) - a.open)),
    capacity: sum(
      agents.filter((a) => a.status === "online" || a.status === "busy"),
      (a) => a.capacity ?? 0,
    ),
  };
}
