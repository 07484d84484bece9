"""The notifier's memory on a real Kafka: whole commits, one leader, and all of it there for the heir."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from types import SimpleNamespace

import pytest

from alerts.outbox import Copy, Deed, Row, Store, chain_broken_at
from alerts.state import Silence, State
from streams.changelog import Changelog, Lost
from tests.kafka.broker import Broker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
SENDINGS = 20


def silent(name: str) -> State:
    """A state with one silence."""
    return State(judged={"": 7}, silences={name: Silence(name, "shop", {"queue": "*"}, 0, 9, "li", "drill")})


def row(alert: str) -> Row:
    """Something to send."""
    return Row("ops", alert, "firing", b"{}", 1)


class Member:
    """One notifier's memory."""

    def __init__(self, broker: Broker, path: Path, ours: bool = True) -> None:
        self.store = Store(path)
        self.ours = ours
        self.log = Changelog(broker.bootstrap, 1, self.store, lambda: self.ours)
        self.tasks: list[asyncio.Task[None]] = []

    async def lead(self) -> None:
        """Lead, and write from now on."""
        await self.log.lead()
        self.tasks.append(asyncio.create_task(self.log.write()))

    async def end(self) -> None:
        """Let go of everything."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.log.close()
        self.store.close()


def test_an_heir_has_what_was_safe_and_who_was_shut_out_can_say_nothing_more(broker: Broker, tmp_path: Path) -> None:
    async def story() -> None:
        first = Member(broker, tmp_path / "1.db")
        await first.lead()
        state = silent("a")
        first.store.commit(State(), state, [row("x"), row("y")], [Deed(1, "li", "shop", "silence", {}, "ok")])
        first.store.settle({1: "sent"}, 5)
        first.store.take_note("ops", "x", "C1 1.5")
        first.store.keep({"usual/k": b"\x00\xff"})
        await first.store.safe()
        heir = Member(broker, tmp_path / "2.db")
        await heir.lead()
        assert heir.store.load() == state
        assert [one.alert for one in heir.store.due("ops", 9)] == ["y"]
        assert heir.store.told("x") == [("ops", "firing", "sent")]
        assert heir.store.note("ops", "x") == "C1 1.5"
        assert dict(heir.store.kept("usual/")) == {"usual/k": b"\x00\xff"}
        assert [deed["who"] for deed in heir.store.audit()] == ["li"]
        assert chain_broken_at(heir.store.audit()) is None
        first.store.commit(state, silent("late"), [row("late")])
        with pytest.raises(Lost):
            await first.store.safe()
        heir.store.commit(heir.store.load(), silent("b"), [row("z")], [Deed(2, "wu", "shop", "ack", {}, "ok")])
        await heir.store.safe()
        last = Member(broker, tmp_path / "3.db")
        await last.lead()
        assert set(last.store.load().silences) == {"b"}
        assert [one.alert for one in last.store.due("ops", 9)] == ["y", "z"]
        assert [one.id for one in last.store.due("ops", 9)] == [2, 3]
        assert chain_broken_at(last.store.audit()) is None
        for member in (first, heir, last):
            await member.end()

    asyncio.run(asyncio.wait_for(story(), 120))


def test_a_stand_by_reads_along(broker: Broker, tmp_path: Path) -> None:
    async def story() -> None:
        leader, standby = Member(broker, tmp_path / "1.db"), Member(broker, tmp_path / "2.db")
        await leader.lead()
        standby.tasks.append(asyncio.create_task(standby.log.follow()))
        for tick in (1, 2, 3):
            leader.store.commit(leader.store.load(), State(judged={"": tick}))
            await leader.store.safe()
            async with asyncio.timeout(20):
                while standby.store.judged() != {"": tick}:
                    await asyncio.sleep(0.05)
        for member in (leader, standby):
            await member.end()

    asyncio.run(asyncio.wait_for(story(), 120))


def test_while_the_broker_is_away_alerts_go_out_if_nobody_else_leads_and_all_is_written_when_it_is_back(
    broker: Broker, tmp_path: Path
) -> None:
    async def story() -> None:
        leader = Member(broker, tmp_path / "1.db")
        await leader.lead()
        leader.store.keep({"n": b"1"})
        await leader.store.safe()
        await asyncio.to_thread(broker.kill)
        leader.store.keep({"n": b"2"})
        await asyncio.wait_for(leader.store.safe(), 15)
        leader.ours = False
        unsure = asyncio.ensure_future(leader.store.safe())
        _, waiting = await asyncio.wait({unsure}, timeout=6)
        assert waiting, "without the broker and without the lease nobody knows who leads"
        leader.ours = True
        await asyncio.to_thread(broker.start)
        await asyncio.wait_for(unsure, 60)
        async with asyncio.timeout(90):
            while leader.log._producer is None or leader.log._done < leader.log._begun:
                await asyncio.sleep(0.1)
        heir = Member(broker, tmp_path / "2.db")
        await heir.lead()
        assert dict(heir.store.kept("n")) == {"n": b"2"}
        for member in (leader, heir):
            await member.end()

    asyncio.run(asyncio.wait_for(story(), 240))


def test_who_slept_over_the_answer_asks_again_whether_it_leads(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = [0.0]
    monkeypatch.setattr("streams.changelog.time", SimpleNamespace(monotonic=lambda: monotonic() + ahead[0]))

    async def story() -> None:
        leader, heir = Member(broker, tmp_path / "1.db"), Member(broker, tmp_path / "2.db")
        whole, slept = leader.log._transaction, asyncio.Event()

        async def written_then_asleep(copies: Sequence[Copy]) -> None:
            await whole(copies)
            if not slept.is_set():
                slept.set()
                await heir.lead()
                leader.ours, ahead[0] = False, 60.0

        monkeypatch.setattr(leader.log, "_transaction", written_then_asleep)
        await leader.lead()
        leader.store.keep({"n": b"1"})
        await asyncio.wait_for(slept.wait(), 30)
        with pytest.raises(Lost):
            await leader.store.safe()
        for member in (leader, heir):
            await member.end()

    asyncio.run(asyncio.wait_for(story(), 120))


def test_the_result_of_one_sending_and_the_leave_for_the_next_are_one_transaction(
    broker: Broker, tmp_path: Path
) -> None:
    async def story() -> None:
        leader = Member(broker, tmp_path / "1.db")
        await leader.lead()
        leader.store.commit(State(), State(), [row(f"a{number}") for number in range(SENDINGS)])
        await leader.store.safe()
        before = leader.log._begun
        for number in range(1, SENDINGS + 1):
            leader.store.settle({number: "sent"}, 5)
            await asyncio.sleep(0)  # as between two sendings
            await asyncio.sleep(0)
            await leader.store.safe()
        assert leader.log._begun - before <= SENDINGS * 3 // 2, "but for those so slow that they prove nothing"
        await leader.end()

    asyncio.run(asyncio.wait_for(story(), 240))
