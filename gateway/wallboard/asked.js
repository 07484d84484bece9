// How the answer to a question over HTTP stands on the page: being read, here, or failed with the cause and the next try.

import { h } from "./dom.js";
import * as d from "./draw.js";

/** `show(data)` where there is an answer; what it was, greyed, where asking again failed; else what is the matter. */
export function answered(c, one, url, show) {
  if (one.state === "error")
    return [failure(c, one, url), one.data ? h("div.outdated", { key: "was" }, show(one.data)) : null];
  if (one.state === "loading")
    return c.now - one.since > 300
      ? h("p.sub", { key: "wait", role: "status" }, c.t("loading"))
      : h("p.sub", { key: "wait", "aria-busy": "true" }, "\u00a0");
  return show(one.data);
}

const NAMED = { 400: "e_wrong", 401: "e_signin", 403: "e_right", 404: "e_none" };

/** ☒, the cause, and when it is tried again. */
export function failure(c, one, url) {
  const { status, kind, text } = one.error,
    cause =
      NAMED[status] ?? (kind === "garbage" ? "e_garbage" : status === 503 ? "e_away" : status ? "e_failed" : "e_gone");
  const left = one.retryAt === null ? null : Math.max(0, Math.ceil((one.retryAt - c.now) / 1000));
  return h(
    "div.failure",
    { key: "failure", role: "group" },
    d.icon("error"),
    h("p", h("b", c.t(cause)), text ? h("span", ` ${text}`) : null),
    h(
      "p.sub",
      left === null ? null : one.busy ? c.t("retrying") : c.t("retry_in", left),
      h("button.plain", { type: "button", onclick: () => c.again(url) }, c.t("retry_now")),
    ),
  );
}
