"""Planned events are read again when their file changes; a mistake in it leaves what was known in force."""

from __future__ import annotations

from pathlib import Path

from config.settings import TenantSettings
from streams.planned import Plan
from streams.policy import Policy

TEN = 1_772_445_600_000
SALE = '[[event]]\nname = "sale"\nfrom = 2026-03-02T10:00:00Z\nto = 2026-03-02T12:00:00Z\nfactor = {}\n'


def test_a_file_that_changes_is_read_again_and_a_mistake_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "events.toml"
    plan = Plan(file, lambda _: Policy(TenantSettings()), look_every_s=0)
    assert plan.days("shop").factor(TEN) == 1.0
    assert plan.days("shop") is plan.days("shop"), "the same until something changes"
    file.write_text(SALE.format(3))
    assert plan.days("shop").factor(TEN) == 3.0
    assert [event["name"] for event in plan.listed("shop", TEN)] == ["sale"]
    file.write_text(SALE.format('"much"'))
    assert plan.days("shop").factor(TEN) == 3.0
    file.unlink()
    assert plan.days("shop").factor(TEN) == 1.0
    assert plan.listed("shop", None) == []
