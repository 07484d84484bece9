"""The page's pure parts, asked in a browser: how numbers are written, how frames are merged, how rows settle."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

import gateway.pages
from gateway.routes import FACTS, METRICS
from streams.metrics import Window, derived
from tests.board.conftest import Page

pytestmark = pytest.mark.slow

MINUTE = 60_000
WALLBOARD = Path(gateway.pages.__file__).parent / "wallboard"


def ask(page: Page, module: str, expression: str) -> Any:
    script = f"const done = arguments[0]; import('/board/{module}.js').then((m) => done({expression}))"
    script += ".catch((e) => done(String(e)))"
    return page.do(script, later=True)


@pytest.fixture(name="still")
def _still(page: Page) -> Page:
    if "/board/" not in page.driver.current_url:
        page.driver.get(page.theatre.address().replace("/?", "/board/board.css"))
    return page


FORMS = [
    ("m.span(48999, true)", "48秒"),
    ("m.span(48999, false)", "48s"),
    ("m.span(80000, true)", "1分20秒"),
    ("m.span(3900000, true)", "1小时05分"),
    ("m.span(3900000, false)", "1h 05m"),
    ("m.span(183600000, false)", "2d 3h"),
    ("m.span(59999, false)", "59s"),
    ("m.span(3599999, false)", "59m 59s"),
    ("m.span(null, true)", "—"),
    ("m.span(0, true)", "0秒"),
    ("m.round(60000, true)", "60 秒"),
    ("m.round(600000, false)", "10m"),
    ("m.count(12480, true)", "12,480"),
    ("m.count(128999, true, true)", "12.8万"),
    ("m.count(128999, false, true)", "128k"),
    ("m.count(undefined, false)", "—"),
    ("m.count(0, false)", "0"),
    ("m.percent(0.6629)", "66.2%"),
    ("m.percent(0.99999)", ">99.9%"),
    ("m.percent(1)", "100.0%"),
    ("m.percent(0)", "0.0%"),
    ("m.percent(0.0001)", "<0.1%"),
    ("m.percent(0.829, 0)", "82%"),
    ("m.percent(null)", "—"),
    ("m.times(3.097, true)", "平时的 3.1 倍"),
    ("m.times(3.097, false)", "3.1× usual"),
    ("m.times(1.05, true)", "如常"),
    ("m.times(1.05, false)", "as usual"),
    ("m.signed(-3)", "−3"),
    ("m.signed(44)", "+44"),
    ("m.mood(-0.46)", "−0.46"),
    ("m.mood(0.3)", "+0.30"),
    ("m.clock(Date.UTC(2026, 10, 20, 1, 53), 'Asia/Shanghai', {today: Date.UTC(2026, 10, 20, 9)})", "09:53"),
    (
        "m.clock(Date.UTC(2026, 10, 20, 1, 53), 'Asia/Shanghai', {zh: true, today: Date.UTC(2026, 10, 21, 9)})",
        "11 月 20 日 09:53",
    ),
    ("m.clock(Date.UTC(2026, 10, 20, 1, 53), 'Asia/Shanghai', {today: Date.UTC(2026, 10, 21, 9)})", "20 Nov 09:53"),
    (
        "m.clock(Date.UTC(2025, 9, 18, 2), 'UTC', {zh: true, today: Date.UTC(2026, 10, 21, 9)})",
        "2025 年 10 月 18 日 02:00",
    ),
    ("m.clock(0, 'No/Such', {})", "00:00"),
    ("m.lag(120, false)", "0.1 s"),
    ("m.lag(12900, true)", "12 秒"),
]


def test_every_form_of_a_number_is_the_one_of_the_design(still: Page) -> None:
    said = ask(still, "forms", "[" + ",".join(expression for expression, _ in FORMS) + "]")
    assert dict(zip((e for e, _ in FORMS), said, strict=True)) == dict(FORMS)


def test_every_word_is_there_in_both_languages(still: Page) -> None:
    used = still.do(
        """const done = arguments[arguments.length - 1];
        Promise.all(arguments[0].map((x) => fetch(`/board/${x}`).then((r) => r.text())))
          .then((texts) => done([...new Set(texts.flatMap((x) =>
            [...x.matchAll(/\\bt\\("([a-z0-9_]+)"/g)].map((y) => y[1])))]))""",
        sorted(path.name for path in WALLBOARD.glob("*.js")),
        later=True,
    )
    assert len(used) > 150
    whole = json.dumps([word for word in used if not word.endswith("_")])
    assert ask(still, "words", f"{whole}.filter((id) => m.words('zh')(id) === id)") == []


def frame(kind: str, *keys: dict[str, Any], **more: Any) -> str:
    return json.dumps({"kind": kind, "keys": list(keys)} | more)


def key(queue: str, **more: Any) -> dict[str, Any]:
    return {"tenant": "demo", "queue": queue, "channel": "*", "series": None} | more


def test_deltas_make_the_same_state_as_a_snapshot(still: Page) -> None:
    run = {"from": "2026-11-21T10:00:00.000Z", "customer_messages": [1, 2, 3]}
    more = {"from": "2026-11-21T10:02:00.000Z", "customer_messages": [9, 10]}
    whole = {"from": "2026-11-21T10:00:00.000Z", "customer_messages": [1, 2, 9, 10]}
    frames = [
        frame("snapshot", key("a", series=run), key("b"), agents=[{"agent": "x"}]),
        frame(
            "delta", key("a", series=more, backlog=2), {"tenant": "demo", "queue": "b", "channel": "*", "gone": True}
        ),
        frame("delta", key("a", backlog=3)),
    ]
    merged = f"[{','.join(frames)}].reduce((state, one) => m.merge(state, one), m.nothing())"
    fresh = f"m.merge(m.nothing(), {frame('snapshot', key('a', series=whole, backlog=3), agents=[{'agent': 'x'}])})"
    plain = "((s) => JSON.stringify([[...s.keys.entries()], s.agents]))"
    left, right = ask(still, "model", f"[{plain}({merged}), {plain}({fresh})]")
    assert json.loads(left) == json.loads(right)


def test_a_row_moves_only_after_its_place_has_differed_for_ten_seconds(still: Page) -> None:
    script = """(() => {
      let s = m.settle({order: [], since: new Map()}, ["a", "b", "c"], 0, false);
      const seen = [];
      for (const [now, held] of [[1000, false], [9000, false], [11500, true], [12000, false]]) {
        s = m.settle(s, ["c", "a", "b"], now, held);
        seen.push(s.order.join(""));
      }
      s = m.settle(s, ["c", "n", "a"], 13000, true);
      return [...seen, s.order.join("")];
    })()"""
    assert ask(still, "model", script) == ["abc", "abc", "abc", "cab", "cna"]


@pytest.mark.parametrize("parts", [[43.6, 14.2, 7.2], [0.5, 0.5, 0.5], [-3.4, 10.1], [1, 2, 3]])
def test_rounded_drivers_add_up_to_the_rounded_sum(still: Page, parts: list[float]) -> None:
    made = ask(still, "model", f"m.addUp({parts})")
    assert sum(made["parts"]) == made["total"]
    assert all(abs(a - b) < 1 for a, b in zip(made["parts"], parts, strict=True))


def test_the_minute_under_way_stands_with_the_rate_of_now(still: Page) -> None:
    script = f"""(() => {{
      const key = {{volume: {{rate_per_min: 30}}}}, pane = (t, v) => ({{t, v}});
      const data = [pane(0, 31), pane({MINUTE}, 29), pane({2 * MINUTE}, 4)];
      return [m.flowing(data, key, {2 * MINUTE + 8000}).map((p) => p.v), m.flowing(data, {{}}, {2 * MINUTE}).length];
    }})()"""
    assert ask(still, "model", script) == [[31, 29, 30], 2]


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("ret", "Returns", True), ("ret*", "Returns", True), ("*turn*", "Returns", True), ("ret*x", "Returns", False),
        ("*s", "Returns", True), ("x", "Returns", False), ("", "Returns", True), ("cn-*-001", "cn-tech-001", True),
    ],
)  # fmt: skip
def test_a_filter_takes_stars(still: Page, pattern: str, name: str, fits: bool) -> None:
    assert ask(still, "model", f"m.matches({json.dumps(pattern)}, {json.dumps(name)})") is fits


@pytest.mark.parametrize(
    ("zone", "noon", "begin"),
    [
        ("Asia/Shanghai", "2026-11-21T04:00:00Z", "2026-11-20T16:00:00.000Z"),
        ("Europe/Berlin", "2026-10-25T12:00:00Z", "2026-10-24T22:00:00.000Z"),
        ("Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-28T23:00:00.000Z"),
        ("America/New_York", "2026-11-01T15:00:00Z", "2026-11-01T04:00:00.000Z"),
    ],
)
def test_a_day_begins_at_midnight_also_when_the_clocks_are_changed(
    still: Page, zone: str, noon: str, begin: str
) -> None:
    said = ask(still, "history", f"new Date(m.midnight(Date.parse('{noon}'), '{zone}')).toISOString()")
    assert said == begin


@pytest.mark.parametrize(
    ("search", "strange"),
    [
        ("?queue=a&window=5m", []),
        ("?window=7m", ["window=7m"]),
        ("?page=admin&x=1", ["page=admin", "x=1"]),
        ("?queue=" + "q" * 300, ["queue=" + "q" * 54]),
        ("?sort=-oldest&arrivals", []),
        ("?lang=fr", ["lang=fr"]),
    ],
)
def test_a_link_is_understood_or_named(still: Page, search: str, strange: list[str]) -> None:
    assert ask(still, "address", f"m.read('{search}', {{lang: 'en', theme: 'dark'}}).strange") == strange


def test_a_link_says_what_was_chosen_and_nothing_that_is_usual(still: Page) -> None:
    script = """(() => {
      const { choice } = m.read('?queue=a&window=30m&arrivals&ticket=x', {lang: 'en', theme: 'dark'});
      return [m.write(choice, new Set()), m.write({...choice, page: 'behind', of: 'backlog'}, new Set(['lang']))];
    })()"""
    assert ask(still, "address", script) == [
        "/?queue=a&arrivals=",
        "/?lang=en&page=behind&queue=a&arrivals=&of=backlog",
    ]


FIELDS = [
    "=1+1",
    "+1",
    "-1",
    "@x",
    "\tx",
    "\rx",
    "＝1",
    "＋1",
    "－1",
    "＠x",
    'a"b',
    "a,b",
    "a\r\nb",
    "plain",
    "",
    "退款",
]


def test_a_table_comes_back_from_its_file_and_nothing_in_it_is_a_formula(still: Page) -> None:
    rows = [FIELDS, [-0.5, 0, 12, *["x"] * (len(FIELDS) - 3)]]
    told = ask(still, "csv", f"m.csv({json.dumps(rows)})")
    assert told.startswith("\ufeff")
    first, second = csv.reader(io.StringIO(told.removeprefix("\ufeff"), newline=""), strict=True)
    assert first == ["'" + text if at < 10 else text for at, text in enumerate(FIELDS)]
    assert second[:4] == ["-0.5", "0", "12", "x"]
    assert ask(still, "csv", "m.field(null)") == ""


def test_the_figures_of_several_queues_are_what_the_server_would_say_of_their_sum(still: Page) -> None:
    rows: list[dict[str, int]] = [
        {"offered": 40, "answered": 31, "answered_in_target": 22, "abandoned": 6, "short_abandoned": 2, "undecided": 3,
         "connected": 29, "frt_n": 31, "frt_sum_ms": 900_000, "ratings": 9, "csat_good": 7, "waiting": 3},
        {"offered": 12, "answered": 12, "answered_in_target": 3, "abandoned": 0, "short_abandoned": 0, "undecided": 0,
         "connected": 5, "frt_n": 12, "frt_sum_ms": 2_400_000, "ratings": 2, "csat_good": 0, "waiting": 0},
    ]  # fmt: skip
    hists = [{1_000: 4, 30_080: 27}, {30_080: 2, 240_640: 10}]
    whole = Window()
    keys: list[dict[str, Any]] = []
    for counts, hist in zip(rows, hists, strict=True):
        whole.add(Window(dict(counts), dict(hist)))
        window = {**counts, "frt_hist": hist, "formula_id": "tidewatch-1", "version": 7, "provisional": False}
        keys.append({"queue": "q", "channel": "*", "tenant": "t", "backlog": 5, "oldest_ms": 1_000 * len(keys) + 7,
                     "ages": [1, 2, 0, 0, 0, 0], "windows": {"30m": window}, "sentiment": None, "sentiment_n": 0,
                     "targets": {"target_ms": 60_000}, "unassigned": None})  # fmt: skip
    found = ask(still, "sums", f"m.sumOf({json.dumps(keys)}, 'id')")
    want = derived(whole, {})
    got = found["windows"]["30m"]
    for name in want.keys() - {name for name in want if "_km" in name}:
        assert got[name] == pytest.approx(want[name]), name
    assert {name: got[name] for name in whole.counts} == whole.counts
    assert (got["frt_p90_km_ms"], got["frt_p50_km_ms"]) == (None, None)
    assert (found["backlog"], found["oldest_ms"], found["ages"]) == (10, 1_007, [2, 4, 0, 0, 0, 0])
    assert (found["unassigned"], found["sentiment"]) == (None, None), "what nobody knows is not zero"
    assert ask(still, "sums", "m.sumOf([], 'id')") is None


def test_days_of_learning_are_whole_and_the_first_is_day_one(still: Page) -> None:
    said = ask(still, "words", "[0, 0.42, 5.9].flatMap((d) => ['zh', 'en'].map((x) => m.words(x)('learn_long', d)))")
    assert said == [
        "学习中，第 1/14 天，范围较宽", "Learning, day 1 of 14, wider range",
        "学习中，第 1/14 天，范围较宽", "Learning, day 1 of 14, wider range",
        "学习中，第 5/14 天，范围较宽", "Learning, day 5 of 14, wider range",
    ]  # fmt: skip


def test_every_number_that_opens_has_its_definition_in_chinese_too(still: Page) -> None:
    assert set(ask(still, "means", "m.DEFINED")) == {*METRICS, *FACTS}
    said = ask(
        still, "means", "[m.meaning({zh: true}, 'csat', 'x'), m.meaning({zh: false}, 'csat', 'csat_good ÷ ratings.')]"
    )
    assert said == ["好评数 ÷ 评价数。", "csat_good ÷ ratings."]
