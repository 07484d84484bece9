"""Made-up streams of counts. Everything is drawn from a seed."""

from __future__ import annotations

import math

import numpy as np

MONDAY = 1_772_409_600_000
"""2026-03-02T00:00Z, ms."""
MINUTE = 60_000
DAY = 24 * 60 * MINUTE


def rate(minute: int, mean: float) -> float:
    """Messages a minute: a daily wave, half of it at the weekend."""
    wave = math.exp(1.0 * math.cos((minute / 1440 - 13 / 24) * 2 * math.pi)) / 1.27
    return mean * wave * (0.5 if (minute // 1440) % 7 >= 5 else 1.0)


def counts(minutes: int, mean: float, seed: int = 1, pane: int = 1) -> list[int]:
    """Counts per pane of `pane` minutes from a Monday on, over-dispersed."""
    rng = np.random.default_rng(seed)
    usual = np.array([rate(i * pane, mean) * pane for i in range(minutes // pane)])
    return [int(count) for count in rng.poisson(usual * rng.gamma(25.0, 1 / 25.0, len(usual)))]
