"""What the command line asks of rules and of the channels."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from alerts import policy, rules
from alerts.notifiers import Notifier, Rejected, Unavailable
from alerts.outbox import Row
from alerts.rehearsal import rehearse
from alerts.render import to_object
from alerts.state import FIRING, Alert, Slot
from config.settings import Labels, Settings
from streams.events import REAL


def rules_check(path: Path | None, settings: Settings) -> list[str]:
    """A line for each mistake of a rules file (None: the shipped one), the telling included; none: it is right."""
    problems: list[str] = []
    for read in (rules.load, lambda file: policy.load(file, settings.channels, settings.routes)):
        try:
            read(path)
        except rules.RulesError as error:
            problems += [line for line in error.problems if line not in problems]
    return problems


def rules_test(path: Path | None, tests: Path) -> list[str]:
    """A line for each test of a file (`alerts.rehearsal`) that came out otherwise.

    Raises:
        RulesError: one of the files cannot be read.
    """
    try:
        text = tests.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise rules.RulesError([f"{tests.name}: cannot be read: {type(error).__name__}"]) from None
    return rehearse(rules.load(path), text, tests.name)


async def alert_test(notifiers: Mapping[str, Notifier], now: int) -> dict[str, str]:
    """Send a test alert through each channel, and resolve it; channel → `sent`, or what went wrong."""
    found: dict[str, str] = {}
    for name, door in notifiers.items():
        rows = [_trial(name, state, now) for state in ("firing", "resolved")]
        try:
            for row in rows:
                await door.send([row])
            found[name] = "sent"
        except (Unavailable, Rejected) as error:
            found[name] = str(error)
        finally:
            await door.close()
    return found


def _trial(name: str, state: str, now: int) -> Row:
    words = {"zh": "测试告警，无需处理", "en": "A test, nothing to do"}
    alert = Alert(
        Slot("test", "default", "*", "*"), "delivery", FIRING, REAL, now, now, now, severity="info", summary=words,
        id=f"test-{hashlib.sha256(f'{name} {now}'.encode()).hexdigest()[:11]}", fired_at=now,
    )  # fmt: skip
    body = {**to_object(alert, Labels()), "state": state}
    return Row(name, alert.id, state, msgspec.json.encode(body), now)
