"""How soon a clear surge is out: x5 begun at any second, in small and large queues, at every time of day.

    python -m tests.bench.onsets [--days 14] [--rates 4 12 40 150 1000] [--scatter 0 0.29 0.5] [--seeds 5 6]

Each queue lives through so many days, then two more with a surge of three minutes every two hours, all through the
present, the models and the looking of the live stack: a tick each second, panes that fill. What is told is the time
from the surge's first instant to the tick at which it stands, by what was expected a minute when it began. What the
models learn of a surge is taken back: each is the first they see. `--scatter`: how far minutes lie from their rate
beyond what chance makes of it (0.5: by half of it, one way or the other).
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise, product

import numpy as np
import numpy.typing as npt

from streams.events import Segment
from streams.windows import MINUTE
from tests.bench.machine import machine
from tests.bench.minutes import usual_rate
from tests.streams.watching import MONDAY, Stage

LIVE_DAYS = 2
EVERY, LONG = 120, 3
"""Minutes from surge to surge, and of each."""
STEPS = range(1_000, MINUTE + 1, 1_000)
HALVES = (MINUTE // 2, MINUTE)
EDGES = (3, 4, 5, 7, 10, 30, 100, 1_000, 1_000_000)
SMALL = 7
HOURS = 6
NEVER = float("inf")
IN_TIME_S = 90
Moments = npt.NDArray[np.float64]
Onset = tuple[float, int, float]
"""Messages a minute expected at the onset, the hour of the day, and seconds until the surge stood."""


class Queue:
    """One queue of one tenant, whose rate is known."""

    def __init__(self, mean: float, days: int, scatter: float, seed: int, factor: float) -> None:
        self.rng = np.random.default_rng([seed, round(mean * 100), round(scatter * 100)])
        self.live = days * 1440
        self.rate = usual_rate(self.live + LIVE_DAYS * 1440, mean, self.rng)
        shape = 1 / scatter**2 if scatter else 0.0
        drawn = self.rng.gamma(shape, 1 / shape, len(self.rate)) if shape else 1.0
        self.counts = self.rng.poisson(self.rate * drawn)
        self.factor = factor
        self.stage = Stage()
        self.stage.insight.save_every_s = NEVER

    def onsets(self) -> Iterator[Onset]:
        """Live through it all."""
        history = {MONDAY + n * MINUTE: {("q", "web"): int(c)} for n, c in enumerate(self.counts[: self.live].tolist())}
        self.stage.hear([self.stage.segment(history, MONDAY + self.live * MINUTE, clock="shop")])
        self.stage.hear([Segment(clock="shop", live="shop")])
        minute = self.live
        while minute < len(self.counts) - LONG:
            if minute % EVERY == EVERY // 2:
                yield self._surge(minute)
                minute += LONG + 1
            else:
                for _ in self._filled(minute, self._usual(minute), HALVES):
                    pass
                minute += 1

    def _surge(self, first: int) -> Onset:
        began, found, stood = float(self.rng.uniform(0, MINUTE)), NEVER, False
        lookout = self.stage.insight._lookouts["shop"]
        before = lookout.usual.to_bytes()
        for n in range(LONG + 1):
            least, most = max(began - n * MINUTE, 0.0), min(began + (LONG - n) * MINUTE, MINUTE)
            more = self.rng.poisson((self.factor - 1) * self.rate[first + n] * (most - least) / MINUTE)
            at = np.concatenate([self._usual(first + n), self.rng.uniform(least, most, more)])
            for tick in self._filled(first + n, at, STEPS):
                since = n * MINUTE + tick - began
                if found == NEVER and self.stage.key("q", "*", shown=False)["volume"]["surge"]:
                    found, stood = since / 1000, since <= 0
        lookout.usual = lookout.usual.restored(before)
        return float(self.rate[first]), first // 60 % 24, np.nan if stood else found

    def _usual(self, minute: int) -> Moments:
        return np.asarray(self.rng.uniform(0, MINUTE, self.counts[minute]))

    def _filled(self, minute: int, at: Moments, steps: Sequence[int]) -> Iterator[int]:
        """A minute with messages at these instants (ms into it), as it fills; pauses after the tick of each step."""
        start, at = MONDAY + minute * MINUTE, np.sort(at)
        for step in steps:
            seen = int(np.searchsorted(at, step))
            self.stage.hear([self.stage.segment({start: {("q", "web"): seen}}, start + step)])
            yield step


def told(onsets: Sequence[Onset]) -> str:
    """Median, nine of ten, and the share that was out in time."""
    waits = np.array([wait for *_, wait in onsets])
    if not len(waits):
        return "| – "
    middle, most = np.quantile(waits, [0.5, 0.9], method="higher")
    share = float(np.mean(waits <= IN_TIME_S))
    words = [f"{wait:.0f} s" if wait < NEVER else "never" for wait in (middle, most)]
    return f"| {words[0]}, {words[1]}, {share:.0%} of {len(waits)} "


def table(found: dict[float, list[Onset]]) -> Iterator[str]:
    """In Markdown: by what was expected, and of what is not small by the hour."""
    yield "| expected a minute " + "".join(f"| minutes scatter by {scatter:.0%} " for scatter in found) + "|"
    yield "|---" * (len(found) + 1) + "|"
    for least, most in pairwise(EDGES):
        rows = ([one for one in some if least <= one[0] < most] for some in found.values())
        yield f"| {least:,} to {most:,} " + "".join(map(told, rows)) + "|"
    for hour in range(0, 24, HOURS):
        rows = ([one for one in some if one[0] >= SMALL and hour <= one[1] < hour + HOURS] for some in found.values())
        yield f"| {SMALL} and more, {hour}:00 to {hour + HOURS}:00 " + "".join(map(told, rows)) + "|"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=14, help="of history")
    parser.add_argument("--rates", type=float, nargs="+", default=[4.0, 12.0, 40.0, 150.0, 1000.0], help="a minute")
    parser.add_argument("--scatter", type=float, nargs="+", default=[0.0, 0.29, 0.5])
    parser.add_argument("--seeds", type=int, nargs="+", default=[5, 6])
    parser.add_argument("--factor", type=float, default=5.0)
    args = parser.parse_args()
    found: dict[float, list[Onset]] = defaultdict(list)
    for scatter, mean, seed in product(args.scatter, args.rates, args.seeds):
        queue = Queue(mean, args.days, scatter, seed, args.factor)
        found[scatter] += [one for one in queue.onsets() if not np.isnan(one[2])]
    print(f"{machine()}; x{args.factor:g}, {args.days} days of history: median, 90 %, share within {IN_TIME_S} s\n")
    print("\n".join(table(found)))


if __name__ == "__main__":
    main()
