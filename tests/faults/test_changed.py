"""FAULTS V-04: targets change while people wait. Who asked before keeps the old ones, and no number mixes the two."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conformance.cases import Row, rfc3339
from tests.conformance.compare import disagreements
from tests.faults.test_deaths import parts
from tests.integration.outside import Sender
from tests.integration.test_kills import Up
from tests.reference import metrics as reference
from tests.reference.fold import Conversation
from tests.reference.given import arrive, complete
from tests.reference.people import spans_of
from tests.reference.streams import stream
from tests.rig import oracle
from tests.rig.processes import finish, until_stored

pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(900)]
TENANT = "changed"
OLD, NEW = {"target_s": 900, "short_s": 60}, {"target_s": 20, "short_s": 5}


def settings_file(folder: Path, settings: Row) -> Path:
    """The settings of the tenant, as a file."""
    file = folder / "tidewatch.toml"
    file.write_text(f"[tenants.{TENANT}]\n" + "".join(f"{name} = {value}\n" for name, value in settings.items()))
    return file


def reckon(lots: Sequence[tuple[list[Row], Row]], tick: int) -> Row:
    """The reference's answer, each lot of conversations by settings of its own."""
    conversations: list[Conversation] = []
    statuses: Row = {}
    late: list[str] = []
    for events, settings in lots:
        scopes, behind = arrive(events)
        late += behind
        conversations += reference._folded(scopes, complete(settings), tick)
        statuses |= {name: spans_of(some) for (sort, name), some in scopes.items() if sort == "agent"}
    late += [one for conversation in conversations for one in conversation.late]
    return reference._answer(conversations, statuses, complete(NEW), tick) | {"late": late}


def test_v04_who_asked_under_old_targets_keeps_them_and_no_number_mixes_the_two(tmp_path: Path) -> None:
    whole = stream(81, 3_000)
    asked_first = {event.get("conversation") for event in whole[: len(whole) // 2]} | {None}
    first = [event for event in whole if event.get("conversation") in asked_first]
    then = [event for event in whole if event.get("conversation") not in asked_first]
    assert len(then) > 500
    data, up = tmp_path / "data", None
    try:
        up = Up(data, settings_file(tmp_path, OLD))
        access = up.ready()
        Sender(access).send(parts(first, TENANT))
        until_stored(access, TENANT, finish(access, first, TENANT))
        up.process.terminate()
        assert up.process.wait(60) == 0
        up = Up(data, settings_file(tmp_path, NEW))
        access = up.ready()
        Sender(access).send(parts(then, TENANT))
        tick = reference.calm(whole, {}, max(int(event["at"]) for event in whole) + 180_000)  # later than the first
        Sender(access).send([{"tick": rfc3339(tick), "tenant": TENANT}])
        told = oracle.answer(access, until_stored(access, TENANT, tick), TENANT)
        want = reckon([(first, OLD), (then, NEW)], tick)
        assert disagreements(want, told) == []
        assert {row["target_ms"] for row in told["episodes"]} >= {900_000, 20_000}
        assert disagreements(reckon([(whole, NEW)], tick), told) != [], "this would have been mixed"
        up.process.terminate()
        assert up.process.wait(60) == 0
    finally:
        if up is not None and up.process.poll() is None:
            up.kill()
