"""FAULTS T-09: any history of sends, repeats, disorder, kills, rebalances, outages and ticks: the same numbers."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.conformance.cases import Row
from tests.faults.line import STEPS, TENANT, Faulty
from tests.reference.metrics import reckon
from tests.reference.streams import story
from tests.streams.line import PARTITIONS, event_of
from tests.streams.test_reference import differences

RUNS, STEPS_A_RUN = (2_000, 50) if os.environ.get("TIDEWATCH_NIGHTLY") else (200, 25)
SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
partition_numbers = st.integers(0, PARTITIONS - 1)


class Machine(RuleBasedStateMachine):
    """The line, and beside it the list of what arrived."""

    line_of: type[Faulty] = Faulty

    @initialize(seed=st.integers(0, 1 << 32))
    def begin(self, seed: int) -> None:
        """A story to be told, in whatever way."""
        told = story(seed, conversations=5, steps=16)
        self.line = self.line_of(told.settings)
        self.settings = told.settings
        self.coming = list(told.events)
        self.arrived: list[Row] = []
        self.clock = 0

    def _flow(self) -> None:
        """Chat goes on while things go wrong."""
        if self.coming:
            events, self.coming = self.coming[:2], self.coming[2:]
            self._take(events)

    def _take(self, events: list[Row]) -> None:
        self.arrived += events
        self.line.send([event_of(one, TENANT) for one in events])

    @rule(many=st.integers(1, 8))
    def send(self, many: int) -> None:
        """The next events come."""
        events, self.coming = self.coming[:many], self.coming[many:]
        self._take(events)

    @rule(ahead=st.integers(1, 6))
    def reorder(self, ahead: int) -> None:
        """One from further on comes first."""
        if len(self.coming) > ahead:
            self._take([self.coming.pop(ahead)])

    @rule(data=st.data())
    def repeat(self, data: Any) -> None:
        """What came comes again, by its source."""
        if self.arrived:
            self._take([data.draw(st.sampled_from(self.arrived))])

    @rule(partition=partition_numbers, back=st.integers(1, 5))
    def feed_again(self, partition: int, back: int) -> None:
        """What came comes again, from the journal."""
        self.line.again(partition, back)

    @rule(ahead=st.sampled_from((0, SECOND, MINUTE, 16 * MINUTE, HOUR, 25 * HOUR)))
    def advance(self, ahead: int) -> None:
        """The clock goes on."""
        newest = max((int(event["at"]) for event in self.arrived), default=0)
        self.clock = max(self.clock, newest) + ahead
        if self.clock:
            self.line.tick(self.clock, TENANT)

    @rule(partition=partition_numbers)
    def commit(self, partition: int) -> None:
        """A worker commits."""
        self._flow()
        self.line.commit(partition)
        self.line.read()

    @rule(partition=partition_numbers, step=st.sampled_from(STEPS))
    def kill(self, partition: int, step: str) -> None:
        """A worker dies in the middle of a commit."""
        self._flow()
        self.line.commit(partition, step)
        self.line.read()

    @rule(partition=partition_numbers)
    def rebalance(self, partition: int) -> None:
        """Another worker has the partition: nothing of the old one is committed any more."""
        self._flow()
        self.line.revive(partition)
        self.line.read()

    @rule(away=st.booleans())
    def outage(self, away: bool) -> None:
        """The reader goes away, or is back."""
        self._flow()
        self.line.away = away
        self.line.read()

    @rule(back=st.integers(1, 40))
    def reader_dies(self, back: int) -> None:
        """The reader begins again a little before."""
        self._flow()
        self.line.rewind(back)
        self.line.read()

    @rule(partition=partition_numbers)
    def trim(self, partition: int) -> None:
        """The outbox loses what is stored."""
        self.line.trim(partition)

    @invariant()
    def nothing_is_invented(self) -> None:
        """Whatever was read so far was sent."""
        if hasattr(self, "line"):
            assert {name[2] for name in self.line.events} <= {event["id"] for event in self.arrived}

    def teardown(self) -> None:
        """In the end everything is heard, and all numbers are the reference's."""
        if not hasattr(self, "line") or not self.arrived:
            return
        self.line.away = False
        self.advance(0)
        self.line.flush()
        found = differences(reckon(self.arrived, self.settings, self.clock), self.line.answer(self.clock))
        assert found == []


def check(machine: type[Machine], runs: int = RUNS, steps: int = STEPS_A_RUN) -> None:
    """Run it; raises on a history that comes to something else."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=runs, stateful_step_count=steps, deadline=None, suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_t09_no_history_of_faults_comes_to_other_numbers_than_the_reference() -> None:
    check(Machine)
