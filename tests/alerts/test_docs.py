"""What the page on alerts shows, works."""

from __future__ import annotations

import hashlib
import hmac
import re
from pathlib import Path
from typing import Any

from alerts import policy
from alerts.readings import METRICS
from alerts.rehearsal import rehearse
from alerts.rules import EXTRAS, load, parse
from alerts.webhook import signature
from config.settings import Channel

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
