// Topics, agents, and the ribbon of the wall.

import { h } from "./dom.js";
import * as d from "./draw.js";
import * as f from "./forms.js";
import * as m from "./model.js";
import { LEVEL, aging, dur, given, label, number, opens, tone } from "./say.js";

export function topicsPanel(c) {
  const list = c.key?.topics,
    words = c.key?.keywords ?? [],
    shown = [...(list ?? [])].sort((a, b) => (b.change ?? 0) - (a.change ?? 0)).slice(0, 6),
    most = Math.max(1, ...shown.map((x) => x.count));
  return h(
    "section.panel.topics",
    h("div.phead", h("h2", c.t("topics")), h("span.gap"), h("small.sub", c.t("30m"))),
    !list
      ? h("p.sub", c.t("no_model"))
      : !shown.length
        ? h("p.sub", c.t("no_topics"))
        : h(
            "ul.tlist",
            shown.map((x) =>
              h(
                "li" + (x.change >= 1.5 ? ".up" : ""),
                { key: x.topic, title: given(x.share) ? f.percent(x.share) : null },
                h("span.tname", { title: label(c, "topic", x.topic) }, label(c, "topic", x.topic)),
                d.bar(x.count / most, x.change >= 1.5),
                number(
                  c,
                  { of: "customer_messages", at: c.ui.queue, topic: x.topic },
                  ".tnum",
                  { "aria-label": `${label(c, "topic", x.topic)} ${f.count(x.count)}` },
                  f.count(x.count),
                ),
                h("span.tchg", f.times(x.change, c.zh)),
              ),
            ),
          ),
    words.length
      ? h(
          "p.akeys",
          words.slice(0, 8).map((x) => {
            const word = typeof x === "string" ? x : (x.keyword ?? x.word ?? "");
            return h("span.chip", { key: word }, word);
          }),
        )
      : null,
    h(
      "p.sub.moodline",
      { title: c.t("mood_scale") },
      `${c.t("sentiment")} `,
      given(c.key?.sentiment)
        ? number(c, { of: "sentiment", at: c.ui.queue }, "", {}, f.mood(c.key.sentiment))
        : f.NONE,
      given(c.key?.sentiment) ? ` · n ${f.count(c.key.sentiment_n)}` : ` · ${c.t("no_model")}`,
    ),
  );
}

export function agentsPanel(c) {
  const st = m.staff(c.state, c.tenant, c.queues);
  return h(
    "section.panel.agentsp",
    h(
      "div.phead",
      h("h2", c.t("agents")),
      h("span.gap"),
      h(
        "small.sub",
        `${c.t("slots")} `,
        given(st.free) ? number(c, { of: "open", at: c.ui.queue }, "", {}, h("b", f.count(st.free))) : h("b", f.NONE),
        st.unknown ? ` · ${c.t("unknown_n", st.unknown)}` : "",
      ),
    ),
    st.agents.length
      ? [
          h(
            "dl.astats",
            ["online", "busy", "away", "offline"].map((x) => h("div", { key: x }, h("dt", c.t(x)), h("dd", st.by[x]))),
          ),
          d.seats(st.agents.slice(0, 168)),
          h("p.sub", c.t("seats")),
          opens(c) ? byName(c, st.agents) : null,
        ]
      : h("p.sub", c.t("no_agents")),
  );
}

const MOST = 168,
  BY_NAME = "by name";

/** Agents by name, the fullest first: what each holds, which opens those conversations. Made only while it is open. */
function byName(c, agents) {
  const held = [...agents].sort((a, b) => b.open - a.open || (a.agent < b.agent ? -1 : 1)).slice(0, MOST);
  return h(
    "details.byname",
    { key: "byname", ontoggle: (event) => c.do.lay(BY_NAME, event.target.open) },
    h("summary", c.t("by_name")),
    c.laid.has(BY_NAME)
      ? h(
          "ul",
          held.map((a) => agent(c, a)),
        )
      : null,
  );
}

function agent(c, a) {
  const of = `${f.count(a.open)}/${f.count(a.capacity)}`;
  return h(
    "li",
    { key: a.agent },
    h("span.tname", { title: a.agent }, label(c, "agent", a.agent)),
    h("span.sub", c.t(a.status)),
    number(
      c,
      { of: "open", at: "*", agent: a.agent },
      ".tnum",
      { "aria-label": `${label(c, "agent", a.agent)} ${of}` },
      of,
    ),
  );
}

export function ribbon(c, page) {
  const rows = m.sorted(c.rows, "worst", c.ui.window, (k) => k.queue).slice(0, 5);
  if (page === "topics")
    return h(
      "div.ribbon",
      { key: "topics" },
      [...(c.key?.topics ?? [])]
        .sort((a, b) => (b.change ?? 0) - (a.change ?? 0))
        .slice(0, 5)
        .map((x) =>
          h(
            "div.rq",
            { key: x.topic },
            h("div.rname", h("span", label(c, "topic", x.topic))),
            h("div.rnum", h("b", f.count(x.count, c.zh, true)), h("span", f.times(x.change, c.zh))),
          ),
        ),
    );
  if (page === "agents") {
    const st = m.staff(c.state, c.tenant, c.queues);
    return h(
      "div.ribbon",
      { key: "agents" },
      ["online", "busy", "away", "offline"].map((x) =>
        h(
          "div.rq",
          { key: x },
          h("div.rname", h("span", c.t(x))),
          h("div.rnum", h("b", st.agents.length ? st.by[x] : f.NONE)),
        ),
      ),
    );
  }
  return h(
    "div.ribbon",
    { key: "queues" },
    rows.map((k) => {
      const n = m.worstLevel(k),
        oldest = aging(c, k.oldest_ms),
        why = k.volume?.surge
          ? c.t("surge")
          : n < 2
            ? null
            : m.level(k, "oldest_ms", k.oldest_ms) > 1
              ? c.t("long_wait")
              : c.t(m.level(k, "backlog", k.backlog) > 1 ? "backlog" : "lull");
      return h(
        "div.rq" + (n > 1 ? "." + tone(n) : ""),
        { key: k.id },
        h(
          "div.rname",
          n > 1 ? d.icon(LEVEL[n]) : null,
          h("span.rlabel", label(c, "queue", k.queue)),
        ),
        h(
          "div.rnum",
          h("b", f.count(k.backlog, c.zh, true)),
          h("span", dur(c, oldest)),
          why ? h("span.rwhy", why) : null,
        ),
      );
    }),
  );
}
