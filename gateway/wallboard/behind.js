// From a number to what is behind it: the list of conversations, one of them, its receipt. Each step is a link.

import { SURFACE } from "./address.js";
import { answered } from "./asked.js";
import { h, s } from "./dom.js";
import * as d from "./draw.js";
import * as f from "./forms.js";
import { meaning } from "./means.js";
import { receiptPanel } from "./receipt.js";
import { clock, dur, given, inUnit, label } from "./say.js";
import { STANDING } from "./sums.js";
import { talkPanel } from "./talk.js";

const PAGE = 100;
/** Numbers of this moment; all others are of a window. */
const NOW = new Set([...STANDING, "oldest_ms", "drain_s"]);

const query = (c) => {
  const asked = {
    tenant: c.tenant,
    metric: c.ui.of ?? "backlog",
    queue: c.ui.at ?? c.ui.queue,
    channel: c.ui.channel,
    ...narrowed(c),
  };
  if (NOW.has(asked.metric)) return new URLSearchParams(asked);
  return new URLSearchParams(
    c.ui.from && c.ui.to
      ? { ...asked, from: c.ui.from, to: c.ui.to }
      : { ...asked, window: c.ui.topic ? "30m" : c.ui.window },
  );
};
/** What a list is narrowed by beside its key: a topic (counted over half an hour), an agent. */
const narrowed = (c) => Object.fromEntries(["topic", "agent"].filter((x) => c.ui[x]).map((x) => [x, c.ui[x]]));

/** The page behind a number; of one conversation where the link names one. */
export function behind(c) {
  if (!c.can("drill"))
    return h(
      "main.door",
      { id: "main", key: "door", tabindex: "-1" },
      h(
        "div.stilltext",
        h("h2", c.t("no_drill")),
        h("p", c.t("no_drill_2")),
        up(c, { ...SURFACE, page: "live" }, c.t("go_live")),
      ),
    );
  const q = query(c),
    url = "/v1/conversations?" + q + "&limit=" + PAGE,
    list = c.ask(url, 30e3),
    one = c.ui.conversation;
  const only = c.view === "phone" && one,
    place = one ? (c.ui.receipt ? "receipt" : "conversation") : "list",
    part = !!(c.ui.topic || c.ui.agent); // no receipt is kept of a part of a number
  const number = "/v1/receipt?" + q;
  return h(
    "main.conv." + place,
    { id: "main", key: "behind", tabindex: "-1" },
    crumbs(c, list.data),
    h(
      "div.convcols" + (one ? "" : ".two"),
      { key: "cols" },
      only ? null : listPanel(c, list, url, one),
      one ? (only && c.ui.receipt ? null : talkPanel(c)) : null,
      part && !one
        ? null
        : one
          ? only && !c.ui.receipt
            ? toReceipt(c, fact(c)?.metric)
            : receiptPanel(c, episodeReceipt(c))
          : c.ui.receipt || c.view !== "phone"
            ? receiptPanel(c, number)
            : toReceipt(c, c.ui.of),
    ),
  );
}

const up = (c, to, text) => h("a", { href: c.link(to), onclick: c.follow(to) }, text);
const toReceipt = (c, metric) =>
  metric
    ? h(
        "p",
        { key: "to" },
        h("a.button", { href: c.link({ receipt: metric }), onclick: c.follow({ receipt: metric }) }, c.t("receipt")),
      )
    : null;

/** Which value of an episode the receipt is of: the one asked for, else the wait that the number is made of. */
function fact(c) {
  const talk = c.ask(
    `/v1/conversation?${new URLSearchParams({ tenant: c.tenant, conversation: c.ui.conversation })}`,
    30e3,
  );
  const episodes = talk.data?.episodes ?? [],
    e = episodes.find((x) => String(x.episode) === c.ui.episode) ?? episodes[episodes.length - 1];
  if (!e) return null;
  const facts = ["frt_ms", "abandon_wait_ms", "censored_wait_ms", "handle_ms"],
    metric = c.ui.receipt ?? facts.find((x) => given(e[x]));
  return metric ? { metric, episode: e.episode } : null;
}

function episodeReceipt(c) {
  const of = fact(c);
  return of
    ? `/v1/receipt?${new URLSearchParams({ tenant: c.tenant, ...of, conversation: c.ui.conversation })}`
    : null;
}

const SHORT = { oldest_ms: "oldest", service_level: "sl", abandon_rate: "abandon" };
/** What a number is called before its list says so. */
const word = (c, of) =>
  ["part_" + of, SHORT[of], of]
    .filter(Boolean)
    .map((id) => [id, c.t(id)])
    .find(([id, text]) => id !== text)?.[1] ?? of;

/** Live › the number › how many › this conversation › its receipt. */
function crumbs(c, data) {
  const part = c.ui.agent ? label(c, "agent", c.ui.agent) : c.ui.topic ? label(c, "topic", c.ui.topic) : null,
    place = [label(c, "queue", c.ui.at ?? c.ui.queue), part].filter(Boolean).join(" · "),
    name = data?.[c.lang] ?? word(c, c.ui.of ?? ""),
    value = data ? inUnit(c, data.unit, data.value) : "";
  const list = { conversation: null, episode: null, receipt: null },
    steps = [
      [{ ...SURFACE, page: "live" }, c.t("nav_live")],
      [list, [place, `${name} ${value}`.trim()].filter(Boolean).join(" · ")],
    ];
  if (c.ui.conversation) steps.push([{ receipt: null }, c.ui.conversation]);
  if (c.ui.receipt) steps.push([{}, c.t("receipt")]);
  const step = ([to, text], i) => [
    i ? h("span", { key: "s" + i, "aria-hidden": "true" }, "›") : null,
    i === steps.length - 1
      ? h("b", { key: i, "aria-current": "page" }, text)
      : h("a", { key: i, href: c.link(to), onclick: c.follow(to) }, text),
  ];
  return h("nav.crumbs", { key: "crumbs", "aria-label": c.t("path") }, steps.map(step));
}

/* ── the list ────────────────────────────────────────────────────────────────────────────────────────────────── */

function listPanel(c, list, url, one) {
  return h(
    "section.panel.clist" + (one ? ".narrow" : ""),
    { key: "list" },
    h("div.phead", h("h2", c.t("behind"))),
    answered(c, list, url, (data) => rows(c, data, url, one)),
  );
}

/** The pages that were asked for of a list, by its address. */
const turned = { url: "", cursors: [] };

function rows(c, data, url, one) {
  if (turned.url !== url) Object.assign(turned, { url, cursors: [] });
  const more = turned.cursors.map((cursor) => [
    `${url}&cursor=${encodeURIComponent(cursor)}`,
    c.ask(`${url}&cursor=${encodeURIComponent(cursor)}`),
  ]);
  const items = [...(data.items ?? []), ...more.flatMap(([, x]) => x.data?.items ?? [])],
    last = more.length ? more[more.length - 1][1].data : data;
  const most = Math.max(1, ...items.map((x) => x.wait_ms ?? 0)),
    waiting = items.filter((x) => x.waiting).length;
  return [
    one ? null : head(c, data),
    h(
      "p.sub",
      { key: "sub" },
      c.t(
        "behind_sub",
        period(c, data),
        f.count(data.n),
        c.t("cases_" + (data.counted === "messages" ? "messages" : "episodes")),
        f.count(data.conversations),
      ),
      waiting ? c.t("behind_waiting", f.count(waiting)) : "",
    ),
    items.length
      ? h(
          "ul",
          { key: "items" },
          items.map((x) => item(c, x, most, data, one)),
        )
      : h("p.sub", { key: "none" }, c.t("no_cases")),
    more.filter(([, x]) => x.state === "error").map(([u, x]) => answered(c, x, u, () => null)),
    last?.next
      ? h(
          "button.tool",
          {
            key: "more",
            type: "button",
            onclick: () => {
              turned.cursors.push(last.next);
              c.choose({});
            },
          },
          c.t("show_more"),
        )
      : null,
    given(data.target_ms) ? h("p.sub", { key: "mark" }, c.t("mark_target", f.round(data.target_ms, c.zh))) : null,
  ];
}

const period = (c, data) =>
  data.window
    ? c.t(data.window)
    : data.from && data.to
      ? `${clock(c, Date.parse(data.from))}–${clock(c, Date.parse(data.to))}`
      : c.t("right_now");

/** What the number is, as it was reckoned for this list and as the live board has it. */
function head(c, data) {
  const shown =
    given(data.shown) && data.shown !== data.value
      ? h(
          "p.sub",
          c.t(
            "shown_live",
            inUnit(c, data.unit, data.shown),
            data.shown_as_of ? clock(c, Date.parse(data.shown_as_of), true) : f.NONE,
          ),
        )
      : null;
  const asked = [
    label(c, "queue", data.queue),
    label(c, "channel", data.channel),
    data.topic ? label(c, "topic", data.topic) : null,
    data.agent ? label(c, "agent", data.agent) : null,
  ]
    .filter(Boolean)
    .join(" · ");
  return h(
    "div.lhead",
    { key: "head" },
    h("p.rbig", data.censored ? h("span.u", c.t("over", "").trim() + " ") : null, inUnit(c, data.unit, data.value)),
    h("p", h("b", data[c.lang] ?? data.metric), ` · ${asked}`),
    h("p.sub", meaning(c, data.metric, data.means)),
    shown,
    h("p.sub", `${c.t("as_of")} ${data.as_of ? clock(c, Date.parse(data.as_of), true) : f.NONE}`),
  );
}

const severity = (x, target) =>
  given(x.wait_ms) && target ? (x.wait_ms >= 3 * target ? "critical" : x.wait_ms > target ? "warning" : null) : null;

const TAIL = 7;
/** A long id in two parts, of which only the first may be cut short: ids tell themselves apart by their ends. */
const ends = (id) =>
  id.length > 2 * TAIL ? [h("span.chead", id.slice(0, -TAIL)), h("span", id.slice(-TAIL))] : h("span.chead", id);

function item(c, x, most, data, one) {
  const target = x.target_ms ?? data.target_ms,
    lv = severity(x, target),
    on = one === x.conversation && (!c.ui.episode || c.ui.episode === String(x.episode)),
    to = { conversation: x.conversation, episode: String(x.episode), receipt: null };
  const facts =
    one || c.view === "phone"
      ? null
      : [
          h(
            "span.cwhere",
            [label(c, "queue", x.queue), label(c, "channel", x.channel), x.agent ? label(c, "agent", x.agent) : null]
              .filter(Boolean)
              .join(" · "),
          ),
          h("span.ctime", x.demand_at ? clock(c, Date.parse(x.demand_at), true) : f.NONE),
        ];
  const end = x.waiting
    ? h("span.mark.cwait", { title: c.t("still_waiting") }, still(c, "span"))
    : h("span.sub.cout", x.outcome ? c.t("out_" + x.outcome) : c.t("state_" + x.state));
  return h(
    "li" + (on ? ".on" : ""),
    { key: `${x.conversation} ${x.episode}` },
    h(
      "a",
      { href: c.link(to), onclick: c.follow(to), "data-item": x.conversation, "aria-current": on ? "true" : null },
      h(
        "span.cid",
        lv ? [d.icon(lv), h("span.quiet", c.t(lv))] : null,
        h("span.cname", { title: x.conversation }, ends(x.conversation)),
        x.episode > 1 ? h("small", ` #${x.episode}`) : null,
        x.waiting && !facts ? h("span.cstill", { title: c.t("still_waiting") }, still(c, "span.quiet")) : null,
      ),
      facts,
      waitBar(x.wait_ms, most, target, lv),
      h("b", dur(c, x.wait_ms)),
      one ? null : end,
    ),
  );
}

/** That nobody has answered yet: a mark, and its words. */
const still = (c, words) => [d.icon("provisional"), h(words, c.t("still_waiting"))];

const waitBar = (ms, most, target, lv) =>
  s(
    "svg",
    { class: "dbar", viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" },
    s("rect", { class: "trough", width: 100, height: 6 }),
    s("rect", {
      class: lv === "critical" ? "over" : "fill",
      width: Math.max(0, Math.min(100, ((ms ?? 0) / most) * 100)),
      height: 6,
    }),
    target && target < most ? s("rect", { class: "target", x: (target / most) * 100, width: 0.8, height: 6 }) : null,
  );
