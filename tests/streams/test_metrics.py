"""The catalogue is whole, every surface has what it says, and the formulas keep their laws."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.readings import METRICS, value_of
from config.settings import TenantSettings
from streams import metrics
from streams.events import GaugeRow, PaneRow, Segment
from streams.metrics import (
    CATALOGUE,
    COUNTS,
    EXACT_WAITS,
    TILES,
    UNITS,
    Metric,
    Place,
    Window,
    Z,
    derived,
    kaplan_meier,
    page,
    percentile,
    wilson,
)
from streams.policy import Policy
from streams.present import Present
from streams.waits import bucket
from streams.windows import HOUR, MINUTE, pane_of
from tests.conformance.cases import Row
from tests.reference.metrics import reckon
from tests.reference.streams import story

ROOT = Path(__file__).parents[2]
SCHEMA = (ROOT / "sinks" / "schema.sql").read_text(encoding="utf-8")
BOARD = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "gateway" / "wallboard").glob("*.js")))
T0 = 1_772_445_600_000

each = pytest.mark.parametrize("metric", [pytest.param(metric, id=name) for name, metric in CATALOGUE.items()])


# -- the catalogue and its surfaces --------------------------------------------------------------------------------


@each
def test_every_metric_is_defined_in_a_sentence_with_a_unit_a_source_and_words(metric: Metric) -> None:
    assert re.fullmatch(r"\S.{5,}[^.]\.", metric.means)
    assert metric.unit in UNITS
    assert re.fullmatch(r"§[1-8]", metric.source)
    assert re.search(r"[\u4e00-\u9fff]", metric.zh)
    assert re.search(r"[A-Za-z]", metric.en)
    assert not re.search(r"[\u4e00-\u9fff]", metric.en)


def test_the_words_are_those_of_the_glossary_and_no_two_metrics_share_them() -> None:
    told = {metric.zh for metric in CATALOGUE.values()}
    assert not [word for word in told if "客服" in word or "会话" in word or "爆量" in word or "高峰" in word]
    assert {"待处理", "最长等待", "服务水平", "放弃率", "满意度", "坐席消息", "人工咨询量", "等待首次响应"} <= told
    assert len(told) == len({metric.en.casefold() for metric in CATALOGUE.values()}) == len(CATALOGUE)


def views() -> dict[str, set[str]]:
    """View → its columns, as the schema declares them."""
    found = re.findall(r"CREATE OR REPLACE VIEW (\w+)\n\((.*?)\n\)\n", SCHEMA, re.DOTALL)
    return {name: set(re.findall(r"^ +(\w+) [A-Z]", columns, re.MULTILINE)) for name, columns in found}


@each
def test_every_metric_has_a_column_in_a_view(metric: Metric) -> None:
    view, column = metric.column.split(".")
    assert column in views()[view]


def test_the_counts_are_columns_of_minutes_under_their_own_names() -> None:
    assert [metric.column for metric in CATALOGUE.values() if metric.name in COUNTS] == [f"minutes.{n}" for n in COUNTS]
    about = {"tenant", "queue", "channel", "minute", "frt_hist", "restated", "formula_id", "version"}
    assert views()["minutes"] - about <= set(CATALOGUE)


MARKS = {
    **{tile: rf'tile\(c, \{{\s+key: "{tile}"' for tile in ("backlog", "oldest", "frt", "sl", "abandon", "csat")},
    "tide": r'"data-measure": "tide"',
    "sentiment": r'"p\.sub\.moodline"',
    "strip": r'"div\.strip"',
    "alerts": r"export function alertsPanel\(",
}
"""How the board's files make each tile."""


def test_every_tile_of_the_catalogue_is_made_by_the_board_and_used() -> None:
    assert set(MARKS) == set(TILES) == {metric.tile for metric in CATALOGUE.values()}
    assert [tile for tile, mark in MARKS.items() if not re.search(mark, BOARD)] == []


@pytest.mark.parametrize("tile", sorted(set(TILES) - {"alerts"}))
def test_a_tile_reads_its_numbers_under_the_names_of_the_catalogue(tile: str) -> None:
    """But for the alerts, which are told in sentences made elsewhere."""
    names = [metric.name for metric in CATALOGUE.values() if metric.tile == tile]
    assert [name for name in names if re.search(rf"\b{name}(_ms)?\b", BOARD)] != []


def test_every_other_number_a_metric_leans_on_is_known() -> None:
    beside = {"frt_km_n", "sentiment_n"}
    leaned = {name for metric in CATALOGUE.values() for name in (*metric.cases, *metric.made_of)}
    assert leaned <= set(CATALOGUE) | beside


def test_rules_and_alerts_read_this_catalogue_and_no_other() -> None:
    assert METRICS is CATALOGUE


def test_the_documentation_is_current() -> None:
    written = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert written == page(), "python -m streams.metrics > docs/metrics.md"
    assert [name for name in CATALOGUE if f"| `{name}` |" not in written] == []


# -- every metric is exercised -------------------------------------------------------------------------------------


def compared() -> set[str]:
    """What `test_reference` compares with the reference, by name: its minutes, its keys and their windows."""
    made = story(1)
    told = reckon(made.events, made.settings, made.tick)
    names = {name for row in told["minutes"] for name in row}
    for key in told["live"]:
        names |= set(key) | {name for window in key["windows"].values() for name in window}
    return names


ELSEWHERE = {
    "sentiment": "alerts/test_rules.py", "expected": "alerts/test_state.py", "low": "alerts/test_state.py",
    "high": "alerts/test_state.py", "surge": "alerts/test_state.py", "lull": "alerts/test_state.py",
    "ingest_lag": "alerts/test_state.py", "parity_faults": "streams/test_parity.py",
    "no_data": "alerts/test_state.py", "stream_age": "alerts/test_state.py",
    "dead_letters": "alerts/test_state.py", "late_total": "streams/test_metrics.py",
    "rate_per_min": "streams/test_metrics.py", "novelty": "streams/test_metrics.py",
    "topic_count": "alerts/test_lives.py", "topic_share": "alerts/test_lives.py",
    "topic_change": "alerts/test_lives.py", "agents_needed": "alerts/test_lives.py",
    "channel_failing": "alerts/test_lives.py", "arrivals_surge": "streams/test_arrivals.py",
    "arrivals_lull": "streams/test_arrivals.py",
}  # fmt: skip
"""What the reference says nothing of → the tests that do. (The counts all are below.)"""


def test_every_metric_is_exercised_by_a_test() -> None:
    known = compared() | set(COUNTS)
    assert set(CATALOGUE) - known == set(ELSEWHERE)
    for name, file in ELSEWHERE.items():
        text = (ROOT / "tests" / file).read_text(encoding="utf-8")
        assert re.search(rf"metric: {name}\b|\"{name}\"", text), name


def shown(*panes: tuple[int, PaneRow], now: int) -> Row:
    """The key of all queues of a tenant whose partitions said these panes."""
    present = Present(2, lambda _: Policy(TenantSettings()))
    for partition, pane in panes:
        present.take(partition, Segment(panes=[pane]))
    return present.view("t").key(("*", "*"), now)


def test_every_count_of_two_partitions_stands_added_up_in_every_window() -> None:
    one = {name: 100 - number for number, name in enumerate(COUNTS)}
    two = {name: 1_000 * n for name, n in one.items()}
    key = shown((0, PaneRow("t", "a", "web", T0, 1, one)), (1, PaneRow("t", "b", "web", T0, 1, two)), now=T0 + 1)
    for window in ("1m", "5m", "30m", "today"):
        want = {name: 1_001 * n for name, n in one.items()}
        want["sentiment_sum"] /= 1_000  # type: ignore[assignment]  # kept in thousandths, shown in its own unit
        assert {name: key["windows"][window][name] for name in COUNTS} == want


def test_every_window_has_every_column_of_minutes() -> None:
    present = Present(1, lambda _: Policy(TenantSettings()))
    gauge = GaugeRow("t", "a", "web", 1, awaiting_first=2, awaiting_reply=1, oldest_since=T0 - 5)
    present.take(0, Segment(panes=[PaneRow("t", "a", "web", T0, 1)], gauges=[gauge]))
    key = present.view("t").key(("a", "web"), T0 + 1)
    named = re.search(r"VIEW minutes\n\((.*?)\n\)", SCHEMA, re.DOTALL)
    assert named
    named_elsewhere = {"tenant", "queue", "channel", "minute", "restated"}
    columns = set(re.findall(r"^    (\w+) ", named[1], re.MULTILINE)) - named_elsewhere
    assert {"backlog", "formula_id", "surge"} <= columns
    for window in key["windows"].values():
        assert columns <= set(window)
        assert (window["backlog"], window["oldest_ms"], window["formula_id"]) == (3, 6, "tidewatch-1")
        assert [window[name] for name in ("expected", "low", "high", "surge")] == [None] * 4


def test_a_restatement_names_its_minute_as_the_feed_writes_instants() -> None:
    minute = pane_of(T0)
    present = Present(1, lambda _: Policy(TenantSettings()))
    for n in (1, 2):
        pane = PaneRow("t", "a", "web", minute, n, {"customer_messages": n}, restated=n - 1)
        present.take(0, Segment(panes=[pane]))
    (found,) = present.view("t").key(("a", "web"), minute + MINUTE)["restated"]
    stands = datetime.fromisoformat(found.pop("minute"))
    assert (stands, stands.utcoffset()) == (datetime.fromtimestamp(minute / 1000, UTC), timedelta(0))
    assert found == {"field": "customer_messages", "old": 1, "new": 2}


def test_the_rate_is_that_of_the_last_whole_minute_and_the_one_in_progress() -> None:
    panes = [
        (0, PaneRow("t", "a", "web", T0 - m * MINUTE, 1, {"customer_messages": n})) for m, n in enumerate((5, 10, 99))
    ]
    assert shown(*panes, now=T0 + MINUTE // 2)["volume"]["rate_per_min"] == pytest.approx(10)
    assert shown(*panes, now=T0)["volume"]["rate_per_min"] == pytest.approx(15, rel=1e-4)


def test_late_events_are_kept_per_partition_as_totals() -> None:
    present = Present(2, lambda _: Policy(TenantSettings()))
    for partition, late in ((0, 3), (1, 4), (0, 5)):
        present.take(partition, Segment(late={"t": late}))
    assert sum(present.view("t").late.values()) == 9
    assert CATALOGUE["late_total"].place is Place.COUNTER


def test_the_feed_has_every_metric_of_a_key_where_its_place_says() -> None:
    present = Present(1, lambda _: Policy(TenantSettings()))
    present.take(0, Segment(panes=[PaneRow("t", "a", "web", T0, 1)], gauges=[GaugeRow("t", "a", "web", 1)]))
    key = present.view("t").key(("a", "web"), T0)
    homes = {
        Place.GAUGE: key,
        Place.WINDOW: key["windows"]["5m"],
        Place.VOLUME: key["volume"],
        Place.FLAG: key["volume"],
    }
    missing = {m.name for m in CATALOGUE.values() if m.place in homes and m.name not in homes[m.place]}
    assert missing == set()


def test_the_feed_has_no_number_in_a_window_that_the_catalogue_does_not_know() -> None:
    window = shown((0, PaneRow("t", "a", "web", T0, 1)), now=T0)["windows"]["5m"]
    about = {"frt_hist", "version", "provisional", "frt_km_n", "frt_p50_km_censored", "frt_p90_km_censored"}
    about |= {"formula_id"}
    elsewhere = {"backlog", "oldest_ms", "expected", "low", "high", "surge"}  # a rule asks the key for them
    assert elsewhere <= set(CATALOGUE)
    assert set(window) - about - elsewhere == {m.name for m in CATALOGUE.values() if m.place is Place.WINDOW}


@each
def test_a_rule_finds_a_metric_where_its_place_says_and_nowhere_else(metric: Metric) -> None:
    homes: dict[Place, Row] = {
        Place.GAUGE: {metric.name: 0.25},
        Place.WINDOW: {"windows": {"5m": {metric.name: 0.25}}},
        Place.VOLUME: {"volume": {metric.name: 0.25}},
        Place.FLAG: {"volume": {metric.name: 0.25}},
    }
    for place, key in homes.items():
        same = homes.get(metric.place) == key
        assert value_of(metric, key, "5m") == (0.25 if same else None), place


# -- buckets and percentiles ---------------------------------------------------------------------------------------

spans = st.one_of(st.integers(0, 2_000), st.integers(0, 10**12))
"""Waits in ms, short ones often."""


@given(spans)
def test_a_bucket_is_at_most_0_8_percent_below_and_its_own_bucket(ms: int) -> None:
    lower = bucket(ms)
    assert 0 <= ms - lower <= 0.008 * ms
    assert bucket(lower) == lower
    assert lower == ms or ms >= 256


@given(spans, spans)
def test_buckets_keep_the_order(one: int, other: int) -> None:
    low, high = sorted((one, other))
    assert bucket(low) <= bucket(high)


def histogram(waits: Iterable[int]) -> dict[int, int]:
    """Waits by bucket."""
    out: dict[int, int] = {}
    for wait in waits:
        out[bucket(wait)] = out.get(bucket(wait), 0) + 1
    return out


@given(st.lists(spans, min_size=1, max_size=60), st.integers(1, 100))
def test_a_percentile_is_the_nearest_rank_within_1_percent(waits: list[int], hundredths: int) -> None:
    rank = -(-hundredths * len(waits) // 100)
    exact = sorted(waits)[rank - 1]
    found = percentile(histogram(waits), hundredths / 100)
    assert found is not None
    assert exact * 0.99 <= found <= exact


def test_there_is_no_percentile_of_nothing() -> None:
    assert percentile({}, 0.5) is None


# -- windows -------------------------------------------------------------------------------------------------------


def numbers(keys: st.SearchStrategy[int]) -> st.SearchStrategy[dict[int, int]]:
    """How many of each; never none."""
    return st.dictionaries(keys, st.integers(1, 50), max_size=6)


panes = st.builds(
    Window,
    st.dictionaries(st.sampled_from(COUNTS), st.integers(1, 50), max_size=6),
    numbers(st.integers(0, 9)),
    numbers(st.integers(0, 9)),
    numbers(st.integers(0, 9)),
)


def merged(parts: Iterable[Window]) -> Window:
    """The merge of some panes."""
    out = Window()
    for part in parts:
        out.add(part)
    return out


@given(st.lists(panes, max_size=6), st.integers(0, 6))
def test_the_merge_of_two_windows_is_the_window_of_all_their_panes(parts: list[Window], cut: int) -> None:
    assert merged([merged(parts[:cut]), merged(parts[cut:])]) == merged(parts) == merged(reversed(parts))


@given(st.lists(panes, max_size=4), panes)
def test_a_pane_added_and_taken_out_leaves_nothing(parts: list[Window], more: Window) -> None:
    window = merged(parts)
    window.add(more)
    window.add(more, -1)
    assert window == merged(parts)


def test_a_window_of_nothing_has_no_shares_rather_than_zeros() -> None:
    told = derived(Window(), {})
    assert {name for name, value in told.items() if value is not None} == {
        "frt_km_n", "frt_p50_km_censored", "frt_p90_km_censored", "provisional"
    }  # fmt: skip


# -- estimates -----------------------------------------------------------------------------------------------------


def slow_kaplan_meier(answered: dict[int, int], censored: dict[int, int], q: Fraction) -> tuple[int | None, bool]:
    """The estimate wait by wait, in exact fractions: at equal times answers first."""
    waits = sorted(
        [(t, 0) for t, n in answered.items() for _ in range(n)]
        + [(t, 1) for t, n in censored.items() for _ in range(n)]
    )
    if not waits:
        return None, False
    survival, at_risk = Fraction(1), len(waits)
    for place, (t, sort) in enumerate(waits):
        if sort == 0:
            survival *= Fraction(at_risk - 1, at_risk)
        at_risk -= 1
        last = place + 1 == len(waits) or waits[place + 1] != (t, 0)
        if sort == 0 and last and 1 - survival >= q:
            return t, False
    return waits[-1][0], True


waits = st.dictionaries(st.integers(0, 12), st.integers(1, 6), max_size=8)


@given(waits, waits)
def test_the_estimate_is_that_of_the_textbook_in_exact_fractions(
    answered: dict[int, int], censored: dict[int, int]
) -> None:
    for q in (Fraction(1, 10), Fraction(1, 2), Fraction(9, 10)):
        assert kaplan_meier(answered, censored, [float(q)]) == [slow_kaplan_meier(answered, censored, q)]


@given(waits)
def test_without_censored_waits_the_estimate_is_the_nearest_rank(answered: dict[int, int]) -> None:
    assert kaplan_meier(answered, {}, [0.5, 0.9]) == [(percentile(answered, q), False) for q in (0.5, 0.9)]


def test_censored_waits_can_only_make_the_estimate_longer() -> None:
    answered = {1_000: 6, 5_000: 3, 9_000: 1}
    assert kaplan_meier(answered, {}, [0.5, 0.9]) == [(1_000, False), (5_000, False)]
    assert kaplan_meier(answered, {2_000: 4}, [0.5, 0.9]) == [(5_000, False), (9_000, False)]
    assert kaplan_meier(answered, {20_000: 10}, [0.5, 0.9]) == [(9_000, False), (20_000, True)]


def test_beyond_a_thousand_waits_the_estimate_is_from_buckets_within_1_percent() -> None:
    assert EXACT_WAITS == 1_000
    answered = {70_001 + 37 * n: 1 for n in range(EXACT_WAITS + 1)}
    (median, beyond), (exact, _) = *kaplan_meier(answered, {}, [0.5]), (sorted(answered)[EXACT_WAITS // 2], False)
    assert not beyond
    assert median is not None
    assert median != exact
    assert median == bucket(exact)
    del answered[70_001]
    assert kaplan_meier(answered, {}, [0.5]) == [(sorted(answered)[EXACT_WAITS // 2 - 1], False)]


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_of_a_share_holds_what_its_score_test_does_not_refuse(case: tuple[int, int]) -> None:
    good, n = case
    low, high = wilson(good, n)
    assert low is not None
    assert high is not None
    assert 0 <= low <= good / n + 1e-12
    assert good / n - 1e-12 <= high <= 1
    for end in (low, high):  # Wilson's own equation: |p − x| = z √(x (1 − x) / n)
        assert abs(good / n - end) == pytest.approx(Z * math.sqrt(end * (1 - end) / n), abs=1e-6)
    assert (1 - high, 1 - low) == pytest.approx(wilson(n - good, n), abs=1e-12)


def test_the_interval_of_nothing_is_unknown() -> None:
    assert wilson(0, 0) == (None, None)


def test_half_an_hour_of_panes_reads_as_its_waits() -> None:
    parts = [PaneRow("t", "a", "web", T0 - m * MINUTE, 1, {"frt_n": 1}, {bucket(m): 1}, {m: 1}) for m in range(40)]
    told = shown(*[(0, part) for part in parts], now=T0)["windows"]
    assert (told["30m"]["frt_km_n"], told["30m"]["frt_p50_km_ms"], told["5m"]["frt_p90_ms"]) == (30, 14, 4)
    assert told["today"]["frt_n"] == min(40, (T0 % (24 * HOUR)) // MINUTE + 1)


def test_the_module_prints_its_page(capsys: pytest.CaptureFixture[str]) -> None:
    import runpy
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # it is imported already
        runpy.run_module(metrics.__name__, run_name="__main__")
    assert capsys.readouterr().out == page()
