// Clocks, timers and sockets in the hands of a test: `document.pass(ms, step)` lets time pass, with a frame each second of it.
(() => {
  if (!window.FIRST) return;
  const RealDate = Date, start = window.FROM;
  let now = 0, next = 1, up = true, socket = null;
  const timers = new Map(), frames = [];
  window.Date = class extends RealDate {
    constructor(...of) { super(...(of.length ? of : [start + now])); }
    static now() { return start + now; }
  };
  performance.now = () => now;
  const add = (act, ms, again) => { timers.set(next, { act, at: now + Math.max(1, ms || 0), every: again ? Math.max(1, ms) : 0 }); return next++; };
  window.setTimeout = (act, ms) => add(act, ms, false);
  window.setInterval = (act, ms) => add(act, ms, true);
  window.clearTimeout = window.clearInterval = (id) => { timers.delete(id); };
  window.requestAnimationFrame = (act) => { frames.push(act); return frames.length; };
  window.fetch = () => Promise.reject(new TypeError("the gateway is gone"));
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
  const text = () => new RealDate(start + now).toISOString();
  function frame(kind) {
    const head = { ...window.FIRST, kind, as_of: text(), server_time: text(), clocks: { demo: text() } };
    const minute = new RealDate(Math.floor((start + now) / 60e3) * 60e3).toISOString(), fresh = { from: minute, step_s: 60, customer_messages: [Math.round(20 + 9 * Math.sin(now / 36e5))], arrivals: [4], expected: [21], low: [15], high: [28], version: [1] };
    if (kind === "snapshot") return head;
    const { labels, viewer, ...delta } = head;
    return { ...delta, keys: head.keys.map((k) => ({ ...k, series: fresh })) };
  }
  document.now = () => start + now;
  document.gateway = (is) => { up = is; if (!is) socket?.end(); };
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
      for (const act of frames.splice(0)) act(now);
    }
  };
})();
