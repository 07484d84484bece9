"""Alerts in words: whole for one, short for many, and harmless whatever a customer wrote."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.letters import JOINER, MOST_LISTED, MOST_SAID, collapse, cut, letter, plain, tame
from alerts.render import span
from tests.alerts.receiver import row


def body(alert: str = "a1", state: str = "firing", **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(row(alert, state, **fields).body)
    return found


def test_a_letter_of_one_alert_says_what_since_when_how_bad_and_what_to_do() -> None:
    drivers = [
        {"dimension": "topic", "value": "refund", "excess": 44.0, "share": 0.7},
        {"dimension": "topic", "value": "other", "excess": 21.0, "share": 0.3},
    ]
    told = letter([body(peak=40.0, drivers=drivers, runbook="https://r.example/x", samples=["没到账"])], "en")
    assert told.title == "◆ Warning Returns: Backlog 30 (limit 20)"
    assert told.lines == (
        "Since 2026-03-02 10:00:00 UTC", "Worst: 40", "Topics: refund +44, other +21",
        "Impact: backlog 30, oldest 1 min 1 s",
    )  # fmt: skip
    assert told.said == ("没到账",)
    assert told.links == (("Board", "https://board.example/?queue=returns"), ("Runbook", "https://r.example/x"))


def test_a_resolved_alert_is_short_and_says_how_long_it_was_and_why_it_ended() -> None:
    told = letter(
        [body(state="resolved", resolved_at="2026-03-02T10:05:00.000Z", reason="restated", samples=["x"])], "zh"
    )
    assert told.title == "✓ 已恢复 退货：待处理 30（阈值 20） (数据已修正)"
    assert told.lines == ("持续 5分，自 2026-03-02 10:00:00 UTC", "峰值 30")
    assert told.said == ()


def test_many_alerts_are_one_letter_with_the_worst_first_and_a_number_for_the_rest() -> None:
    bodies = [body(f"a{n}", severity="info") for n in range(30)] + [body("c", severity="critical")]
    bodies += [body("a0", "resolved", severity="info")]
    told = letter(bodies, "en")
    assert told.title == "31 alerts: 30 open, 1 resolved"
    assert told.lines[0].startswith("▲ ")
    assert len(told.lines) == MOST_LISTED + 1
    assert told.lines[-1] == "and 11 more"
    assert told.severity == "critical"


def test_the_last_word_on_each_alert_counts() -> None:
    bodies = [body("a"), body("b"), body("a", "acknowledged"), body("a", "resolved")]
    assert [(one["alert"], one["state"]) for one in collapse(bodies)] == [("a", "resolved"), ("b", "firing")]


@pytest.mark.parametrize(
    ("ms", "en", "zh"),
    [
        (0, "0 s", "0秒"), (999, "1 s", "1秒"), (61_000, "1 min 1 s", "1分1秒"), (3_600_000, "1 h", "1小时"),
        (90_061_000, "1 d 1 h", "1天1小时"),
    ],
)  # fmt: skip
def test_spans_are_said_in_their_two_greatest_units(ms: int, en: str, zh: str) -> None:
    assert (span(ms, "en"), span(ms, "zh")) == (en, zh)


@given(st.text(max_size=600))
def test_a_tamed_text_is_one_short_line_without_links_mentions_or_hidden_signs(text: str) -> None:
    shown = tame(text)
    assert "://" not in shown
    assert not any(unicodedata.category(char) in ("Cc", "Zl", "Zp", "Cs") for char in shown)
    assert not any(unicodedata.category(char) == "Cf" and char not in (JOINER, "\u200d") for char in shown)
    assert "@" + "here" not in shown
    assert len(shown) <= 8 * MOST_SAID + 1


@given(st.text(max_size=200))
def test_a_plain_text_has_no_line_ends_and_no_control_characters(text: str) -> None:
    assert len(plain(text).splitlines()) <= 1
    assert plain(plain(text)) == plain(text)


@pytest.mark.parametrize(
    ("text", "most", "expected"),
    [
        ("abc", 3, "abc"), ("abcd", 3, "ab…"), ("e\u0301e\u0301e\u0301", 3, "e\u0301e\u0301e\u0301"),
        ("e\u0301e\u0301e\u0301e", 3, "e\u0301e\u0301…"), ("👩\u200d👩\u200d👧xyz", 3, "👩\u200d👩\u200d👧x…"),
        ("👍🏽👍🏽👍🏽", 2, "👍🏽…"), ("🇨🇳🇩🇪🇫🇷", 2, "🇨🇳…"), ("🇨🇳🇩🇪", 2, "🇨🇳🇩🇪"), ("", 1, ""), ("ab", 1, "…"),
    ],
)  # fmt: skip
def test_a_cut_never_parts_what_is_seen_as_one_sign(text: str, most: int, expected: str) -> None:
    assert cut(text, most) == expected


def test_a_sign_with_a_thousand_marks_does_not_get_through_whole() -> None:
    assert len(cut(("a" + "\u0301" * 1000) * 50, 200)) <= 8 * 200 + 1
    assert len(cut("🇨" * 50_000, 200)) <= 8 * 200 + 1


@pytest.mark.parametrize(
    ("reason", "zh", "en"),
    [
        ("answered 535", "令牌不对", "token or password is wrong, or was withdrawn (it answered 535)"),
        ("answered {550}", "收件人", "see whom it is from and to (it answered 550)"),
        ("answered 404", "不存在", "nothing at its address"),
        ("answered 503", "故障", "broken (it answered 503)"),
        ("answered 301, a redirect, which is not followed", "不跟随", "which is not followed (it answered 301)"),
        ("no answer within the time limit", "限时内没有答复", "did not answer within"),
        (
            "cannot be reached: Connection refused",
            "连接不上（连接被拒绝）",
            "it cannot be reached (Connection refused)",
        ),
        ("cannot be reached: SomeError", "连接不上（SomeError）", "it cannot be reached (SomeError)"),
        ("answered code 93000", "answered code 93000", "answered code 93000"),
    ],
)
def test_why_a_channel_is_dead_is_said_in_words(reason: str, zh: str, en: str) -> None:
    dead = body(rule="channel-down/mail", reason=reason, unit="ms", impact={})
    for language, words in (("zh", zh), ("en", en)):
        told = letter([dead], "zh" if language == "zh" else "en")
        assert any(words in line for line in told.lines), told.lines
        assert any(("只靠它" if language == "zh" else "only through it") in line for line in told.lines)


def test_who_is_told_again_or_in_somebodys_stead_reads_that_nobody_has_taken_it() -> None:
    again = body(notice={"kind": "repeat", "waited_ms": 14_400_000})
    assert letter([again], "en").lines[0] == "Still so: nobody has acknowledged it for 4 h"
    higher = body(notice={"kind": "escalation", "waited_ms": 600_000})
    assert letter([higher], "zh").lines[0] == "已升级给你：10分无人确认"
    assert "acknowledged" not in "\n".join(letter([body()], "en").lines)


def test_what_goes_on_there_is_told_where_it_is_known_and_of_what_is_over_as_it_was_at_its_worst() -> None:
    around = {"rate_per_min": 11.4, "usual_per_min": 12.2, "at_work": 0}
    told = letter([body(impact=around)], "en")
    assert "Behind it: 11 messages per min (usually 12), 0 at work" in told.lines
    over = body(state="resolved", resolved_at="2026-03-02T10:05:00.000Z", impact=around, at_peak={"at_work": 2})
    assert "最严重时：在岗 2 人" in letter([over], "zh").lines
    assert not any("Behind" in line for line in letter([body(impact=dict.fromkeys(around))], "en").lines)


def test_the_worst_of_what_fires_below_a_bound_is_no_peak() -> None:
    low = body(metric="service_level", unit="ratio", value=0.5, peak=0.4, low=0.6, high=None)
    assert "最低：40%" in letter([low], "zh").lines
    assert "峰值：40" in letter([body(peak=40.0)], "zh").lines


def test_in_a_list_what_is_over_says_how_long_it_was_and_how_bad_it_got() -> None:
    over = body("a2", "resolved", resolved_at="2026-03-02T10:05:00.000Z", peak=41.0)
    assert letter([body(), over], "en").lines == (
        "◆ Warning Returns: Backlog 30 (limit 20) (since 10:00)",
        "✓ Resolved Returns: Backlog 30 (limit 20) (lasted 5 min, worst 41)",
    )
    assert letter([body(), over], "zh").lines[1].endswith("（持续 5分，峰值 41）")
