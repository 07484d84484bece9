// Questions to the gateway over HTTP, beside the feed: asked once, kept while the page shows them, asked again where one failed.

const RETRY = 30e3,
  PATIENCE = 20e3,
  KEPT = 60e3;

/** `changed()` is called whenever an answer has come. */
export class Asker {
  constructor(changed) {
    this.changed = changed;
    this.known = new Map();
  }

  /**
   * The answer to a GET as far as it is known: {state: "loading" | "ok" | "error", data, error, retryAt}.
   * `every`: ask again after so many ms. A newer answer takes the place of the older one, which is shown until then.
   */
  get(url, every = Infinity) {
    const now = performance.now();
    let one = this.known.get(url);
    if (!one)
      this.known.set(
        url,
        (one = { state: "loading", data: null, error: null, retryAt: null, since: now, busy: false }),
      );
    one.used = now;
    const due =
      one.state === "loading" ||
      (one.state === "error" ? one.retryAt !== null && now >= one.retryAt : now - one.since >= every);
    if (due && !one.busy) this.#ask(url, one);
    this.#forget(now);
    return one;
  }

  /** Ask this again now. */
  again(url) {
    const one = this.known.get(url);
    if (one && !one.busy) this.#ask(url, one);
  }

  #forget(now) {
    for (const [url, one] of this.known) if (now - one.used > KEPT && !one.busy) this.known.delete(url);
  }

  async #ask(url, one) {
    one.busy = true;
    try {
      Object.assign(one, { data: await fetched(url), state: "ok", error: null, retryAt: null });
    } catch (error) {
      const waits =
        error.status && error.status < 500 && error.status !== 429 ? null : performance.now() + (error.after ?? RETRY);
      Object.assign(one, {
        state: "error",
        error: { status: error.status ?? 0, kind: error.kind ?? "gone", text: error.said ?? "" },
        retryAt: waits,
      });
    }
    Object.assign(one, { busy: false, since: performance.now() });
    this.changed();
  }
}

/** The answer as an object. Throws {kind: "gone" | "garbage" | "refused", status, said, after}. */
async function fetched(url) {
  let answer;
  try {
    answer = await fetch(url, {
      cache: "no-store",
      headers: { Accept: "application/json" },
      signal: AbortSignal.timeout(PATIENCE),
    });
  } catch {
    throw { kind: "gone" };
  }
  const text = await answer.text().catch(() => "");
  let data = null;
  try {
    data = JSON.parse(text);
  } catch {
    /* told below */
  }
  if (!answer.ok)
    throw {
      kind: "refused",
      status: answer.status,
      said: String(data?.error ?? "").slice(0, 200),
      after: 1000 * Number(answer.headers.get("Retry-After")) || undefined,
    };
  if (data === null || typeof data !== "object") throw { kind: "garbage", status: 502 };
  return data;
}
