// The bar, the banner under it, and the messages: what is live, as of when, and why not.

import { h } from "./dom.js";
import * as d from "./draw.js";
import * as f from "./forms.js";
import * as m from "./model.js";
import { PAGES, SURFACE } from "./address.js";
import { clock, dur, label } from "./say.js";

function strip(c) {
  const when = c.at === null ? f.NONE : clock(c, c.at, true, c.today);
  if (c.stale)
    return h(
      "div.strip.stalled",
      d.mark("stale", c.t("stale")),
      h("span", c.t("as_of") + " ", h("b", when)),
      c.staleFor === null ? null : h("span", c.t("ago", dur(c, c.staleFor))),
    );
  return h(
    "div.strip",
    c.state.ready ? d.mark("live", c.t("live")) : null,
    h("span", c.t("as_of") + " ", h("b", when)),
    lag(c),
    partitions(c),
    parity(c),
  );
}

function lag(c) {
  const ms = c.state.ingest_lag_ms ?? null,
    late = ms !== null && ms > 5000;
  return h(
    "span" + (late ? ".late" : ""),
    { key: "lag" },
    late ? d.icon("warning") : null,
    c.t("lag") + " ",
    h("b", f.lag(ms, c.zh)),
  );
}

function partitions(c) {
  const p = c.state.partitions ?? { total: 0, behind: 0 };
  if (!p.total) return null;
  return h(
    "span.wide" + (p.behind ? ".late" : ""),
    { key: "parts" },
    p.behind ? d.icon("warning") : null,
    c.t("partitions") + " ",
    h("b", `${p.total - p.behind}/${p.total}`),
  );
}

const UNCHECKED = 60e3;
/** Where the first fault is. */
const place = (c, x) =>
  x
    ? `${c.zh ? "：" : ": "}${label(c, "queue", x.queue)} · ${label(c, "channel", x.channel)} · ${clock(c, Date.parse(x.minute))}`
    : "";

/** The word, in full where there is room for it. */
const parityWord = (c) => [h("span.full", c.t("parity") + " "), h("span.brief", { "aria-hidden": "true" }, "≡ ")];

/** Whether what is shown and what is stored are the same, as the watch over both last said. */
function parity(c) {
  const p = c.state.parity;
  if (!p) return null;
  if (p.faults)
    return h(
      "span.late.broken",
      { key: "parity", title: `${c.t("parity_why")}${place(c, p.first_fault)}` },
      d.icon("error"),
      c.t("parity_bad") + " ",
      h("b", f.count(p.faults)),
    );
  const old = p.checked_at && c.today - Date.parse(p.checked_at) > UNCHECKED;
  if (old)
    return h(
      "span.late",
      { key: "parity", title: c.t("parity_old") },
      d.icon("warning"),
      parityWord(c),
      h("b", c.t("ago", dur(c, c.today - Date.parse(p.checked_at)))),
    );
  const when = p.checked_at ? clock(c, Date.parse(p.checked_at), true, c.today) : f.NONE;
  return h(
    "span.paritied",
    { key: "parity", title: c.t("parity_at", when) },
    parityWord(c),
    h("b", p.checked_at ? d.icon("ok") : f.NONE, p.checked_at ? h("span.quiet", c.t("parity_at", when)) : null),
  );
}

export function tools(c) {
  const tool = (name, title, text, act, pressed) =>
    h(
      "button.tool",
      { key: name, type: "button", "aria-label": title, title, "aria-pressed": pressed ?? null, onclick: act },
      text,
    );
  const sound = c.sound === "on" ? "sound_on" : c.sound === "blocked" ? "sound_blocked" : "sound_off";
  return h(
    "div.tools",
    tool("sound", c.t("sound_label"), c.t(sound), c.do.sound, String(c.sound === "on")),
    tool("lang", c.t("lang_label"), c.zh ? "EN" : "中", c.do.lang),
    tool("theme", c.t("theme_label"), c.t(c.ui.theme === "dark" ? "light" : "dark"), c.do.theme),
    tool("keys", c.t("keys"), "?", c.do.help),
  );
}

function nav(c, spec) {
  const open = m.alertsOf(c.state, c.tenant).filter((a) => a.state !== "resolved" && a.severity !== "info").length;
  const now = c.ui.page === "behind" ? "live" : c.ui.page;
  return h(
    spec,
    { "aria-label": c.t("pages") },
    PAGES.map((page) =>
      h(
        "a" + (now === page ? ".on" : ""),
        {
          key: page,
          href: c.link({ ...SURFACE, page }),
          "aria-current": now === page ? "page" : null,
          onclick: c.follow({ ...SURFACE, page }),
        },
        c.t("nav_" + page),
        spec === "nav.tabs" && page === "alerts" && open ? h("span.badge", open) : null,
      ),
    ),
  );
}
export const tabs = (c) => nav(c, "nav.tabs");

export function top(c, shut) {
  const scope = [
    c.many ? c.tenant : null,
    c.summed?.name ?? label(c, "queue", c.ui.queue),
    c.ui.size === "xl" && c.ui.channel === "*" ? null : label(c, "channel", c.ui.channel),
  ]
    .filter(Boolean)
    .join(" · ");
  return h(
    "header.top",
    d.wordmark(),
    c.view === "tv" ? h("span.scope", scope) : shut ? null : nav(c, "nav.nav"),
    h("span.gap"),
    shut ? null : strip(c),
    c.view === "tv" ? null : tools(c),
  );
}

/** Since when and why the numbers stand still. */
export function banner(c) {
  if (!c.stale) return null;
  const why = c.stale === "lag" ? c.t("r_lag", f.lag(c.state.ingest_lag_ms, c.zh)) : c.t("r_" + c.stale);
  return h(
    "div.banner",
    d.icon("stale"),
    h(
      "b",
      c.at === null
        ? c.t("stopped_none")
        : c.t("stopped", clock(c, c.at, true)) + (c.staleFor === null ? "" : c.t("stopped_since", dur(c, c.staleFor))),
    ),
    h(
      "span",
      why,
      c.attempt > 0 ? c.t("retry_n", c.attempt) : c.t("stop") + (c.zh ? "" : " "),
      c.at === null ? null : c.t("last_known"),
    ),
  );
}

const told = (key, text, close, label_) =>
  h(
    "div.banner.notice",
    { key, role: "note" },
    d.icon("error"),
    h("span", text),
    h("span.gap"),
    h("button.tool", { type: "button", onclick: close }, label_),
  );

/** Why the board that the link names is not shown: there is none, or its file cannot be used. */
function untold(c) {
  const { status, text } = c.trouble;
  return c.t({ 404: "no_board", 409: "bad_board" }[status] ?? "e_failed", c.ui.board, text);
}

/** What could not be done, and what was not understood, in words. */
export function notices(c) {
  return [
    c.strange.length ? told("strange", c.t("strange", c.strange.join(" ")), c.do.understood, c.t("close")) : null,
    c.trouble ? told("board", untold(c), c.do.noBoard, c.t("close")) : null,
    c.notice ? told("notice", c.notice, c.do.dismiss, c.t("close")) : null,
  ];
}
