// The connection to the gateway: opened again whenever it is lost, with jitter, so that a thousand boards do not come at once.

const SILENT = 8e3, FIRST = 400, MOST = 8e3;

/** `on` hears: frame(object), reply(object), state({attempt, refused}). */
export class Feed {
  constructor(on) {
    this.on = on;
    this.attempt = 0;
    this.waiting = [];
    this.socket = null;
    this.heard = performance.now();
    setInterval(() => this.#check(), 1000);
  }

  open() {
    clearTimeout(this.timer);
    this.opened = false;
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1/live`, ["tidewatch.v1"]);
    this.socket = socket;
    this.heard = performance.now();
    socket.onopen = () => { this.opened = true; };
    socket.onmessage = (event) => this.#take(JSON.parse(event.data));
    socket.onclose = (event) => { if (this.socket === socket) this.#lost(event.code); };
  }

  /** Ask; resolves with {ok, error}. Answers come in the order of the questions. */
  ask(wish) {
    if (this.socket?.readyState !== WebSocket.OPEN) return Promise.resolve({ ok: false, error: null });
    this.socket.send(JSON.stringify(wish));
    return new Promise((done) => this.waiting.push(done));
  }

  #take(frame) {
    this.heard = performance.now();
    if (frame.kind === "reply") return this.waiting.shift()?.(frame);
    this.attempt = 0;
    this.on.frame(frame);
  }

  #lost(code) {
    this.waiting.splice(0).forEach((done) => done({ ok: false, error: null }));
    const refused = code === 4401 ? "signin" : code === 4403 ? "norole" : null;
    this.attempt += 1;
    this.on.state({ attempt: this.attempt, refused });
    const delay = refused ? 30e3 : Math.min(MOST, FIRST * 2 ** (this.attempt - 1));
    this.timer = setTimeout(() => this.open(), delay * (0.5 + Math.random()));
    if (!this.opened && !refused) this.#ask_why();
  }

  /** A handshake that was refused says nothing to a page; the page itself, read again, says whether we are signed in. */
  async #ask_why() {
    try {
      const found = /data-signed="(\w+)"/.exec(await (await fetch("/", { cache: "no-store" })).text());
      if (found?.[1] === "no") this.on.state({ attempt: this.attempt, refused: "signin" });
      if (found?.[1] === "role") this.on.state({ attempt: this.attempt, refused: "norole" });
    } catch { /* the gateway is gone: the attempts go on */ }
  }

  #check() {
    if (this.socket?.readyState !== WebSocket.CLOSED && this.socket?.readyState !== WebSocket.CLOSING && performance.now() - this.heard > SILENT) {
      const socket = this.socket;
      this.socket = null;
      socket.onclose = null;
      socket.close();
      this.#lost(1006);
    }
  }
}
