// Alerts, silences, the tide worth drawing, the people at work. Pure.

import { sorted } from "./levels.js";
import { keyAt, rowsOf, time } from "./model.js";
import { whole } from "./patterns.js";

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

/** The queue whose tide is worth drawing: the one chosen, else the worst volume alert's, else all; of a board that shows
    `several` queues, given with their `sum`, one of them, else that. */
export function tideKey(state, tenant, queue, channel, several = null) {
  if (queue !== "*") return keyAt(state, tenant, queue, channel);
  if (several) return several.rows.find((k) => k.volume?.surge) ?? several.sum;
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

/** Agents of a tenant, of some queues or all (null); free slots, and of how many nobody knows. */
export function staff(state, tenant, queues) {
  const agents = state.agents.filter(
    (a) => a.tenant === tenant && (queues === null || (a.queues ?? []).some((x) => queues.includes(x))),
  );
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
