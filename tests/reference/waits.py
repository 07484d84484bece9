"""Percentiles, Kaplan–Meier estimates and Wilson intervals (METRICS §1, §3, §7)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

Z = 1.959964
EPSILON = 1e-11
"""F(t) is a product of quotients: this much may be lost in it, and is no reason to miss q."""


def nearest_rank(values: Sequence[int], q: float) -> int | None:
    """The smallest value that the share q of all does not exceed."""
    if not values:
        return None
    rank = math.ceil(q * len(values) - EPSILON)
    return sorted(values)[max(rank, 1) - 1]


def kaplan_meier(answered: Sequence[int], censored: Sequence[int], q: float) -> tuple[int | None, bool]:
    """The smallest t with F(t) ≥ q; else the longest observed wait, and True. None where there are no waits."""
    if not answered and not censored:
        return None, False
    at_risk, survive = len(answered) + len(censored), 1.0
    ends, cuts = Counter(answered), Counter(censored)
    for t in sorted(set(ends) | set(cuts)):
        survive *= 1 - ends[t] / at_risk
        if 1 - survive >= q - EPSILON:
            return t, False
        at_risk -= ends[t] + cuts[t]
    return max([*answered, *censored]), True


def wilson(good: int, n: int) -> tuple[float | None, float | None]:
    """The 95 % interval of a share; None twice without any."""
    if n == 0:
        return None, None
    p, z2 = good / n, Z * Z
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return middle - half, middle + half


def ratio(part: float, whole: float) -> float | None:
    """A share, or None without a denominator."""
    return part / whole if whole else None
