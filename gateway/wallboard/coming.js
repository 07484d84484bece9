// What comes in: frames merged into the state, why it does not pass for the present, what is watched, what is said aloud.

import { Feed } from "./feed.js";
import { dimension, here, opened, pending, sound } from "./here.js";
import * as m from "./model.js";
import { draw, soon } from "./page.js";
import * as views from "./views.js";
import { say } from "./voice.js";
import { words } from "./words.js";

/** Silence of the gateway after which numbers are old, ms. */
export const SILENT = 4500;

const T = (...of) => words(here.ui.lang)(...of);

export const feed = new Feed({
  /** True where the frame could be read. */
  frame(frame) {
    const before = here.state;
    try {
      here.state = m.merge(here.state, frame, here.limits);
    } catch {
      return false;
    }
    [here.refused, here.attempt, here.garbled] = [null, 0, false];
    here.heard = performance.now();
    here.tenant = m.tenantOf(
      here.state,
      here.ui.tenant,
      frame.kind === "snapshot" && !before.ready ? null : here.tenant,
    );
    const at = m.asOf(here.state, here.tenant);
    if (at !== here.wasAt) [here.wasAt, here.elapsedFrom] = [at, here.heard];
    const alive = new Set(here.state.alerts.map((a) => a.alert));
    for (const id of opened) if (!alive.has(id)) opened.delete(id);
    for (const id of dimension.keys()) if (!alive.has(id)) dimension.delete(id);
    for (const id of [...pending.keys()])
      if (here.state.alerts.some((a) => a.alert === id && a.state !== "firing")) pending.delete(id);
    if (frame.kind === "snapshot") here.watched = "";
    announce(before);
    watch();
    soon();
    return true;
  },
  state(next) {
    [here.attempt, here.garbled, here.refused] = [
      next.attempt,
      next.garbled ?? false,
      next.refused ?? (next.attempt > 1 ? here.refused : null),
    ];
    draw();
  },
});

/** Why the numbers do not pass for the present: the gateway's word, or its silence. */
export function staleness() {
  if (!here.state.ready) return null;
  if (performance.now() - here.heard > SILENT) return here.garbled ? "garbage" : "gateway";
  if (here.state.stale) return here.state.stale_reason ?? "stream";
  return (here.state.ingest_lag_ms ?? 0) > 30e3 ? "lag" : null;
}

/** Which keys' history this screen draws. */
export function watch() {
  const rows = m.rowsOf(here.state, here.tenant, here.ui.channel),
    names =
      rows.length > views.HUGE
        ? here.visible.map((id) => here.state.keys.get(id)?.queue).filter(Boolean)
        : rows.map((k) => k.queue);
  const tide = m.tideKey(here.state, here.tenant, here.ui.queue, here.ui.channel)?.queue,
    wish = { queues: [...new Set(["*", tide ?? "*", ...names])].sort(), channels: [here.ui.channel] },
    text = JSON.stringify(wish);
  if (text === here.watched) return;
  here.watched = text;
  here.state = m.watching(here.state, wish.queues, wish.channels);
  feed.ask({ watch: wish });
}

/** A new critical alert, and its resolving, are said; a new one sounds. */
function announce(before) {
  if (!before.ready || here.tenant === null) return;
  const was = new Map(m.alertsOf(before, here.tenant).map((a) => [a.alert, a])),
    colon = here.ui.lang === "zh" ? "：" : ": ";
  for (const a of m.alertsOf(here.state, here.tenant).filter((x) => x.severity === "critical")) {
    const old = was.get(a.alert),
      name = a.summary?.[here.ui.lang] ?? a.rule;
    if (!old && a.state === "firing") {
      say("urgent", T("critical") + colon + name);
      sound.play();
    }
    if (old && old.state !== "resolved" && a.state === "resolved") say("urgent", T("resolved") + colon + name);
  }
}
