// Clocks, timers and sockets in the hands of a test: `document.pass(ms, step)` lets time pass, with a frame each step of it.
(() => {
  if (!window.FIRST) return;
  const RealDate = Date, start = window.FROM;
  let now = 0, next = 1, up = true, stopped = null, hidden = false, socket = null;
  const timers = new Map(), frames = new Map();
  window.Date = class extends RealDate {
    constructor(...of) { super(...(of.length ? of : [start + now])); }
    static now() { return start + now; }
  };
  performance.now = () => now;
  const add = (act, ms, again) => { timers.set(next, { act, at: now + Math.max(1, ms || 0), every: again ? Math.max(1, ms) : 0 }); return next++; };
  window.setTimeout = (act, ms) => add(act, ms, false);
  window.setInterval = (act, ms) => add(act, ms, true);
  window.clearTimeout = window.clearInterval = (id) => { timers.delete(id); };
  window.requestAnimationFrame = (act) => { frames.set(next, act); return next++; };
  window.cancelAnimationFrame = (id) => { frames.delete(id); };
  window.fetch = () => Promise.reject(new TypeError("the gateway is gone"));
  Object.defineProperty(document, "hidden", { get: () => hidden });
  window.WebSocket = class {
    static OPEN = 1;
    static CLOSED = 3;
    static CLOSING = 2;
    constructor() {
      socket = this;
      this.readyState = 0;
      setTimeout(() => (up ? this.begin() : this.end()), 20);
    }
    begin() { this.readyState = 1; this.onopen?.(); this.tell(frame("snapshot")); }
    end() { this.readyState = 3; this.onclose?.({ code: 1006 }); }
    tell(what) { this.onmessage?.({ data: JSON.stringify(what) }); }
    send(text) { if (JSON.parse(text).watch) this.tell({ kind: "reply", ok: true }); }
    close() { this.readyState = 3; }
  };
  const text = (ms) => new RealDate(ms).toISOString();
  /** What the gateway says: as of now, or of when the broker went; each moment has its own number of messages. */
  function frame(kind) {
    const here = start + now, at = stopped ?? here, stale = stopped !== null && here - stopped >= 5e3;
    const head = { ...window.FIRST, kind, as_of: text(at), server_time: text(here), clocks: { demo: text(at) }, stale, stale_reason: stale ? "broker" : null };
    if (kind === "snapshot") return head;
    const fresh = { from: text(Math.floor(at / 60e3) * 60e3), step_s: 60, customer_messages: [Math.round(20 + 9 * Math.sin(at / 36e5))], arrivals: [4], expected: [21], low: [15], high: [28], version: [1] };
    const { labels, viewer, ...delta } = head;
    return { ...delta, keys: head.keys.map((k) => ({ ...k, series: fresh })) };
  }
  document.now = () => start + now;
  document.gateway = (is) => { up = is; if (!is) socket?.end(); };
  document.broker = (is) => { stopped = is ? null : start + now; };
  document.conceal = (is) => {
    hidden = is;
    document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
  };
  document.pass = (ms, step) => {
    const end = now + ms;
    while (now < end) {
      now = Math.min(end, now + step);
      if (up && socket?.readyState === 1) socket.tell(frame("delta"));
      for (const [id, one] of [...timers]) {
        if (one.at > now || !timers.has(id)) continue;
        if (one.every) one.at = now + one.every;
        else timers.delete(id);
        one.act();
      }
      if (hidden) continue;
      const due = [...frames.values()];
      frames.clear();
      for (const act of due) act(now);
    }
  };
})();
