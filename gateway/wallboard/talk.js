// One conversation: its waits, and what was said, masked, with what each thing did to the clocks.

import { answered } from "./asked.js";
import { h } from "./dom.js";
import * as d from "./draw.js";
import * as f from "./forms.js";
import { clock, dur, given, label } from "./say.js";
import { at, waits } from "./waits.js";

export function talkPanel(c) {
  const url = `/v1/conversation?${new URLSearchParams({ tenant: c.tenant, conversation: c.ui.conversation })}`,
    one = c.ask(url, 30e3);
  return h(
    "div.cmid",
    { key: "talk" },
    answered(c, one, url, (data) => both(c, data)),
  );
}

function both(c, data) {
  const all = data.episodes ?? [],
    e = all.find((x) => String(x.episode) === c.ui.episode) ?? all[all.length - 1];
  if (!e) return h("p.sub", c.t("no_episode"));
  const agent = e.first_reply_agent ?? e.agent,
    where = [
      label(c, "queue", e.queue),
      label(c, "channel", e.channel),
      c.t("episode_n", e.episode),
      agent ? `${c.t("agent")} ${label(c, "agent", agent)}` : null,
    ]
      .filter(Boolean)
      .join(" · ");
  return [
    h(
      "section.panel",
      { key: "waits" },
      h("div.phead.chead", h("h2", data.conversation), h("small.sub", where), h("span.gap"), standing(c, e)),
      others(c, all, e),
      h("div.draw", { "data-measure": "waits" }, waits(c, e, data)),
      e.exact === false ? h("p.sub", c.t("not_exact")) : null,
    ),
    h("section.panel.talk", { key: "said" }, h("div.phead", h("h2", c.t("timeline"))), transcript(c, data, e)),
  ];
}

function standing(c, e) {
  if (e.waiting) return d.mark("warning", `${c.t("waiting_now")} ${dur(c, e.wait_ms)}`);
  return h("span.sub", e.outcome ? c.t("out_" + e.outcome) : c.t("state_" + e.state));
}

/** The other episodes of the conversation, as links. */
function others(c, all, e) {
  if (all.length < 2) return null;
  return h(
    "p.episodes",
    { key: "eps" },
    all.map((x) =>
      x === e
        ? h("b", { key: x.episode }, c.t("episode_n", x.episode))
        : h(
            "a",
            {
              key: x.episode,
              href: c.link({ episode: String(x.episode), receipt: null }),
              onclick: c.follow({ episode: String(x.episode), receipt: null }),
            },
            c.t("episode_n", x.episode),
          ),
    ),
  );
}

/* ── what was said ───────────────────────────────────────────────────────────────────────────────────────────── */

function transcript(c, data, e) {
  const d0 = at(e.demand_at),
    d1 = at(e.first_reply_at) ?? (e.waiting ? Infinity : at(e.closed_at)),
    list = data.events ?? [];
  let began = false;
  const rows = list.map((v) => {
    const t = at(v.at),
      mine = v.episode === e.episode,
      starts = mine && !began && d0 !== null && t >= d0,
      first = mine && t === d1 && v.role === "agent" && v.kind === "message";
    began ||= starts;
    const waiting = mine && began && d1 !== null && t <= d1 && !first;
    return turn(c, v, { starts: starts && t === d0, first, waiting, e, other: given(v.episode) && !mine });
  });
  return [
    rows.length ? h("ol", { key: "ol" }, rows) : null,
    data.cut ? h("p.sub", { key: "cut" }, c.t("talk_cut")) : null,
    h(
      "p.sub",
      { key: "masked" },
      c.t(data.text ? "talk_masked" : "talk_hidden"),
      data.hidden ? c.t("talk_notes", data.hidden) : "",
    ),
  ];
}

function turn(c, v, { starts, first, waiting, e, other }) {
  const message = v.kind === "message",
    who = message
      ? `${c.t("who_" + v.role)}${v.who && v.role === "agent" ? " " + label(c, "agent", v.who) : ""}`
      : null;
  const why = (v.why ?? []).map((x) => x[c.lang]).filter(Boolean),
    notes = why.length
      ? why
      : [starts ? c.t("d_here") : null, v.late ? c.t("n_late") : null, v.clock_suspect ? c.t("n_clock") : null].filter(
          Boolean,
        );
  const told = first
    ? [
        `${c.t("w_first")} ${dur(c, e.frt_ms)}${given(e.target_ms) ? ` · ${c.t("target")} ${f.round(e.target_ms, c.zh)} · ${c.t(e.met === false ? "missed" : "met")}` : ""}`,
      ]
    : [];
  return h(
    "li.who-" + (message ? v.role : "event") + (waiting || starts ? ".f-wait" : "") + (other ? ".otherep" : ""),
    { key: v.id + v.at },
    h("time", { datetime: v.at }, clock(c, at(v.at), true)),
    h("span.rail"),
    h(
      "div.bubble",
      who ? h("span.whoname", who) : null,
      h(
        "p",
        message
          ? (v.text ?? (v.type && v.type !== "text" ? c.t("no_text", v.type) : c.t("text_hidden")))
          : happened(c, v),
      ),
      told.map((x) => h("small.clockline", { key: x }, x)),
      notes.map((x, i) => h("small" + (starts && i === notes.length - 1 ? ".clockline" : ""), { key: x }, x)),
    ),
  );
}

/** What happened, in a sentence. */
function happened(c, v) {
  const where = v.queue ? label(c, "queue", v.queue) : "",
    who = v.agent ? label(c, "agent", v.agent) : "";
  const word = c.t("ev_" + v.kind, where, who, v.score ?? "", v.topic ? label(c, "topic", v.topic) : "");
  return word === "ev_" + v.kind ? v.kind : word;
}
