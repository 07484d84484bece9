"""What the page on alerts shows, works."""

from __future__ import annotations

import hashlib
import hmac
import re
from pathlib import Path
from typing import Any

import pytest

from alerts import gallery, policy
from alerts.letters import Language, letter
from alerts.readings import METRICS
from alerts.rehearsal import rehearse
from alerts.rules import EXTRAS, load, parse
from alerts.webhook import signature
from config.settings import Channel
from config.settings import load as settings

PAGE = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text(encoding="utf-8")


def block(language: str, holding: str) -> str:
    """The page's block of code that holds this."""
    blocks: list[str] = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return next(found for found in blocks if holding in found)


def test_the_pages_rule_is_read() -> None:
    (rule,) = parse(block("yaml", "rules:"))
    assert (rule.min_n, rule.labels) == (20, {"team": "payments"})


def test_the_pages_policy_is_read_and_names_every_section() -> None:
    told = policy.parse(block("yaml", "notify:"), "page", [Channel(name="boss", type="console")], [])
    assert len(told.maintenance) == 2
    assert all(f"{name}:" in PAGE for name in EXTRAS)


def test_the_pages_rehearsal_goes_as_written() -> None:
    assert rehearse(load(None), block("yaml", "tests:")) == []


def test_the_pages_receiver_tells_ours_from_a_forgery() -> None:
    here: dict[str, Any] = {"hmac": hmac, "hashlib": hashlib}
    exec(block("python", "def genuine"), here)  # the page's own code
    header = signature("k", b"{}", 1000)
    assert here["genuine"](b"k", header, b"{}", 1001)
    assert not here["genuine"](b"x", header, b"{}", 1001)
    assert not here["genuine"](b"k", header, b"{ }", 1001)
    assert not here["genuine"](b"k", header, b"{}", 2000)


def test_every_metric_the_page_adds_to_the_catalogue_is_one() -> None:
    table = PAGE.split("| metric | what is judged |")[1].split("Tenants are never")[0]
    named = re.findall(
        r"`([a-z_]+)`", "".join(line.split("|")[1] for line in table.splitlines() if line.startswith("| `"))
    )
    assert {"surge", "no_data", "stream_age", "dead_letters"} <= set(named)
    assert set(named) <= set(METRICS)


def test_the_messages_on_the_page_are_what_is_sent() -> None:
    assert gallery.page(PAGE) == PAGE, "python -m alerts.gallery"


@pytest.mark.parametrize("language", ["zh", "en"])
def test_somebody_woken_at_night_is_told_what_how_bad_since_when_why_and_what_to_do(language: Language) -> None:
    body = gallery.body_of(gallery.surge())
    told = letter([body], language)
    shown = "\n".join((told.title, *told.lines))
    words = {
        "zh": (
            "警告", "退款", "突增", "96", "通常 26", "03:04:00 UTC+8", "已持续 8分", "退款未到账 +58",
            "待处理 74", "增加 4 人", "处置",
        ),
        "en": (
            "Warning", "Refunds", "Surge", "96", "usually 26", "03:04:00 UTC+8", "for 8 min", "Refund not received +58",
            "backlog 74", "4 more", "To do",
        ),
    }  # fmt: skip
    assert [word for word in words[language] if word not in shown] == []
    assert {name for name, _ in told.links} in ({"看板", "处置手册"}, {"Board", "Runbook"})


def test_the_pages_settings_for_buttons_are_settings(tmp_path: Path) -> None:
    path = tmp_path / "tidewatch.toml"
    path.write_text(block("toml", "app_token"), encoding="utf-8")
    (channel,) = settings(path, {}).channels
    assert channel.people == {"U024BE7LH": "lin", "U0G9QF9C6": "wang"}
