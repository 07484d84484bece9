"""The registry as the stream uses it: one-minute panes, looked at every 10 s. False pages, recall, delay.

    python -m tests.bench.minutes [--weeks 8] [--rates 20 300 3000] [--seed 5]

Simulated queues: a daily wave, quieter weekends, a drifting level, an hour-long wander of 12 %, and minutes that are
over-dispersed by 29 %. From the third week on, one surge of 30 minutes each day and a half, at a random second.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from models.usual import Usual

MONDAY = 1_772_409_600_000
KEY = ("bench", "queue", "*")
SIZES = (2, 3, 5)
SLOT = 2160  # minutes: one surge in each


@dataclass
class Tally:
    """What happened to one queue."""

    pages: int = 0
    lulls: int = 0
    evaluations: int = 0
    found: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))  # size → seconds to the alert
    missed: dict[int, int] = field(default_factory=lambda: defaultdict(int))


def usual_rate(minutes: int, mean: float, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """The true rate, messages a minute."""
    at = np.arange(minutes)
    wave = np.exp(1.2 * np.cos((at / 1440 - 13 / 24) * 2 * np.pi)) * np.where((at // 1440) % 7 >= 5, 0.5, 1.0)
    drift = np.cumsum(rng.normal(0, 0.12 / np.sqrt(1440), minutes))
    wander = np.zeros(minutes)
    steps = rng.normal(0, 0.12 * np.sqrt(1 - 0.984**2), minutes)
    for i in range(1, minutes):
        wander[i] = 0.984 * wander[i - 1] + steps[i]
    rate = wave * np.exp(drift + wander)
    return np.asarray(rate * mean / rate.mean())


def run(mean: float, weeks: int, rng: np.random.Generator) -> Tally:
    """Live through the weeks of one queue."""
    rate, tally, usual = usual_rate(weeks * 10_080, mean, rng), Tally(), Usual()
    surge_at, size, stood, lulled, hit = -10_000, 2, False, False, True
    for minute, usually in enumerate(rate):
        if minute % SLOT == 0 and minute >= 2 * 10_080:
            surge_at, size, hit = minute * 6 + int(rng.integers(0, 12_000)), SIZES[int(rng.integers(3))], False
        tenths = rng.poisson(usually * rng.gamma(12.0, 1 / 12.0) / 6, 6)
        for i in range(6):
            if 0 <= minute * 6 + i - surge_at < 180:
                tenths[i] += rng.poisson((size - 1) * usually / 6)
        for i, seen in enumerate(np.cumsum(tenths).tolist()):
            at = MONDAY + minute * 60_000
            reading = usual.look(KEY, at + (i + 1) * 10_000 - 1, [seen]) if i < 5 else usual.observe(KEY, at, seen)
            tally.evaluations += 1
            if reading is None or minute < 10_080:
                continue
            into = minute * 6 + i - surge_at
            if reading.surge and not hit and 0 <= into < 240:
                hit = True
                tally.found[size].append((into + 1) * 10)
            elif reading.surge and not stood and not 0 <= into < 540:
                tally.pages += 1
            if into == 240 and not hit:
                tally.missed[size] += 1
            tally.lulls += reading.lull and not lulled and not 0 <= into < 540
            stood, lulled = reading.surge, reading.lull
    return tally


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weeks", type=int, default=8)
    parser.add_argument("--rates", type=float, nargs="+", default=[20.0, 300.0, 3000.0], help="messages a minute")
    parser.add_argument("--seed", type=int, default=5)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    for mean in args.rates:
        began = time.process_time()
        tally = run(mean, args.weeks, rng)
        cost = (time.process_time() - began) / tally.evaluations * 1e6
        print(f"{mean:7.0f}/min: {tally.pages / (args.weeks - 1):.2f} false surges and "
              f"{tally.lulls / (args.weeks - 1):.2f} lulls a week, {cost:.0f} µs an evaluation")  # fmt: skip
        for size in SIZES:
            found, missed = tally.found[size], tally.missed[size]
            if found:
                median, most = np.median(found), np.percentile(found, 90)
                print(f"    x{size}: {len(found)} of {len(found) + missed}; median {median:.0f} s, 90 % {most:.0f} s")
            else:
                print(f"    x{size}: none of {missed}")


if __name__ == "__main__":
    main()
