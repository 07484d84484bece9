"""A fold over history has one tick, at its end: all that time brings comes with it."""

from __future__ import annotations

from pathlib import Path

from config.settings import TenantSettings
from streams.events import Event
from streams.policy import Policy
from streams.shard import MOST_WOKEN
from streams.windows import HOUR
from tidewatch.refold import Clock, Refold, scratch

T0 = 1_772_445_600_000
MANY = MOST_WOKEN + 500


def test_however_much_ends_at_the_tick_it_ends(tmp_path: Path) -> None:
    policy = Policy(TenantSettings(expire_backlog_s=3_600))
    refold = Refold(0, lambda _: policy, scratch(tmp_path))
    asked = [
        Event(
            id="m", kind="message", at=T0 + number, tenant="t", conversation=f"c{number}", author="customer", text="?",
            queue="a", received_at=T0 + number,
        )
        for number in range(MANY)
    ]  # fmt: skip
    assert refold.feed(((number // 100, event) for number, event in enumerate(asked)), real_positions=True) == MANY
    refold.tick(Clock("t", T0 + 2 * HOUR, replay=False, ticked=True))
    refold.put_away()
    assert sum(pane.counts.get("closed_unanswered", 0) for pane in refold.panes.values()) == MANY
