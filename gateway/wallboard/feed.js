// The connection to the gateway: opened again whenever it is lost, with jitter, so that a thousand boards do not come at once.

const SILENT = 8e3,
  FIRST = 400,
  MOST = 8e3,
  REFUSED = 30e3;
const LISTS = ["agents", "silences", "events", "alerts"];
const object = (x) => x !== null && typeof x === "object" && !Array.isArray(x);

/** A frame as it is understood; null for what no gateway of ours would say. */
export function understood(text) {
  let frame;
  try {
    frame = JSON.parse(text);
  } catch {
    return null;
  }
  if (!object(frame)) return null;
  if (frame.kind === "reply") return frame;
  if (frame.kind !== "snapshot" && frame.kind !== "delta") return null;
  const keys = frame.keys ?? [],
    lists = LISTS.map((name) => frame[name] ?? []);
  if (
    !Array.isArray(keys) ||
    !keys.every((k) => object(k) && [k.tenant, k.queue, k.channel].every((x) => typeof x === "string"))
  )
    return null;
  if (!lists.every((list) => Array.isArray(list) && list.every(object))) return null;
  if (["labels", "viewer", "clocks", "zones", "partitions"].some((name) => name in frame && !object(frame[name])))
    return null;
  return frame;
}

/** `on` hears: frame(object), state({attempt, refused, garbled}). */
export class Feed {
  constructor(on) {
    this.on = on;
    this.attempt = 0;
    this.waiting = [];
    this.socket = null;
    this.garbled = false;
    this.heard = performance.now();
    setInterval(() => this.#check(), 1000);
  }

  open() {
    clearTimeout(this.timer);
    this.opened = false;
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1/live`, [
      "tidewatch.v1",
    ]);
    this.socket = socket;
    this.heard = performance.now();
    socket.onopen = () => {
      this.opened = true;
    };
    socket.onmessage = (event) => {
      if (this.socket === socket) this.#take(event.data);
    };
    socket.onclose = (event) => {
      if (this.socket === socket) this.#lost(event.code);
    };
  }

  /** Ask; resolves with {ok, error}. Answers come in the order of the questions. */
  ask(wish) {
    if (this.socket?.readyState !== WebSocket.OPEN) return Promise.resolve({ ok: false, error: null });
    this.socket.send(JSON.stringify(wish));
    return new Promise((done) => this.waiting.push(done));
  }

  #take(text) {
    const frame = understood(text);
    if (!frame) return this.#drop(true);
    this.heard = performance.now();
    if (frame.kind === "reply") return this.waiting.shift()?.(frame);
    if (!this.on.frame(frame)) return this.#drop(true);
    this.attempt = 0;
    this.garbled = false;
  }

  #lost(code) {
    this.waiting.splice(0).forEach((done) => done({ ok: false, error: null }));
    const refused = code === 4401 ? "signin" : code === 4403 ? "norole" : null;
    this.attempt += 1;
    this.on.state({ attempt: this.attempt, refused, garbled: this.garbled });
    const delay = refused ? REFUSED : Math.min(MOST, FIRST * 2 ** (this.attempt - 1));
    this.timer = setTimeout(() => this.open(), delay * (0.5 + Math.random()));
    if (!this.opened && !refused) this.#askWhy();
  }

  /** A handshake that was refused says nothing to a page; the page itself, read again, says whether we are signed in. */
  async #askWhy() {
    try {
      const found = /data-signed="(\w+)"/.exec(await (await fetch("/", { cache: "no-store" })).text());
      const refused = { no: "signin", role: "norole" }[found?.[1]];
      if (refused) this.on.state({ attempt: this.attempt, refused, garbled: false });
    } catch {
      /* the gateway is gone: the attempts go on */
    }
  }

  /** The page is left: its connection ends with it, and nobody has to find out. `open` begins anew. */
  leave() {
    clearTimeout(this.timer);
    const socket = this.socket;
    this.socket = null;
    if (socket) {
      socket.onclose = socket.onmessage = null;
      socket.close();
    }
    this.waiting.splice(0).forEach((done) => done({ ok: false, error: null }));
  }

  /** Give this connection up, and open another one later. */
  #drop(garbled = false) {
    const socket = this.socket;
    this.socket = null;
    this.garbled = garbled;
    if (socket) {
      socket.onclose = socket.onmessage = null;
      socket.close();
    }
    this.#lost(1006);
  }

  #check() {
    const there =
      this.socket && this.socket.readyState !== WebSocket.CLOSED && this.socket.readyState !== WebSocket.CLOSING;
    if (there && performance.now() - this.heard > SILENT) this.#drop();
  }
}
