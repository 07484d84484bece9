"""Where an excess comes from, what people are saying, and what it takes to work it off. Pure.

Shares: each part's excess over its own expectation; the parts sum to the whole excess exactly. Keywords: words that
are more frequent now than usual by log-likelihood ratio. Impact: Erlang-A, waiting customers who give up.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

OTHER = "other"
MOST = 5
LEAST_LLR = 15.13  # chance of one in 10,000 for one word (χ², one degree of freedom)
LEAST_COUNT = 5
TAIL = 8.0  # deviations beyond which nobody is counted
CERTAIN = 40.0
"""A tail whose bound (Chernoff) is e^−40 is none: to reckon those took most of the time."""
NEVER = 1e-18
"""A share of the time so small that what happens in it changes no digit."""
MOST_IN_SYSTEM = 200_000
MOST_AGENTS = 100_000
NO_TIME_S = 0.001
"""Work that takes less is done at once: it needs nobody, and nothing is divided by it."""
Vector = npt.NDArray[np.float64]


class Driver(NamedTuple):
    """One part of an excess."""

    value: str
    excess: float
    share: float
    """Of the whole excess; 0 where there is none."""


def drivers(
    seen: Mapping[str, float], expected: Mapping[str, float], total: float, usual: float, most: int = MOST
) -> list[Driver]:
    """Split `total − usual` over the values of one dimension; the greatest excess first, the rest as `other`.

    Messages without a value, expectations that do not add up, and what is beyond `most` are in `other`, so that the
    parts sum to the excess exactly.
    """
    whole = total - usual
    parts = {name: seen.get(name, 0.0) - expected.get(name, 0.0) for name in {*seen, *expected} - {OTHER}}
    sign = 1.0 if whole >= 0 else -1.0
    named = sorted((name for name in parts if sign * parts[name] > 0), key=lambda name: (-sign * parts[name], name))
    found = [Driver(name, parts[name], _share(parts[name], whole)) for name in named[:most]]
    rest = whole - math.fsum(driver.excess for driver in found)
    if abs(rest) > 1e-9:
        found.append(Driver(OTHER, rest, _share(rest, whole)))
    return found


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def keywords(now: Mapping[str, int], usual: Mapping[str, float], most: int = MOST) -> list[str]:
    """The words that rose most, by log-likelihood ratio, above a floor; none if nothing stands out.

    Source: Dunning, "Accurate Methods for the Statistics of Surprise and Coincidence", 1993.
    """
    now_total, usual_total = sum(now.values()), sum(usual.values())
    rated = ((log_likelihood(n, now_total, usual.get(word, 0.0), usual_total), word) for word, n in now.items())
    rising = [
        (ratio, word)
        for ratio, word in rated
        if ratio >= LEAST_LLR
        and now[word] >= LEAST_COUNT
        and now[word] * max(usual_total, 1.0) > usual.get(word, 0.0) * now_total
    ]
    return [word for _, word in sorted(rising, key=lambda pair: (-pair[0], pair[1]))[:most]]


def log_likelihood(a: float, a_total: float, b: float, b_total: float) -> float:
    """2·log λ that `a` of `a_total` and `b` of `b_total` are of one rate; 0 is alike."""
    if a_total <= 0 or b_total <= 0:
        return 0.0
    rate = (a + b) / (a_total + b_total)
    return 2.0 * (_term(a, a_total * rate) + _term(b, b_total * rate))


def _term(seen: float, due: float) -> float:
    """What fades for years comes near to nothing, and its due share to nothing at all: then it says nothing."""
    return seen * math.log(seen / due) if seen > 0 and due > 0 else 0.0


class Staffing(NamedTuple):
    """Erlang-A in steady state."""

    wait_over: float
    """The share of all who wait longer than the target, or give up."""
    abandoned: float
    """The share who give up."""


def erlang_a(arrivals: float, handling: float, patience: float, servers: int, target: float) -> Staffing:
    """What `servers` parallel conversations reach. Rates per second: `arrivals`; means in seconds: the others.

    Exponential service and patience. Computed over the number in the system, truncated where nothing is left.
    Source: Mandelbaum, Zeltyn, "Service engineering in action: the Palm/Erlang-A queue", 2007.
    """
    mu, theta = 1.0 / handling, 1.0 / patience
    out = _departures(arrivals, mu, theta, servers)
    logs = np.concatenate([[0.0], np.cumsum(np.log(arrivals / out))])
    weights = np.exp(logs - logs.max())
    total = float(weights.sum())
    queued = weights[servers:]
    ahead = np.arange(len(queued))
    abandoned = min(theta * float(ahead @ queued) / total / arrivals, 1.0)
    likely = np.flatnonzero(queued > NEVER * total)
    if not len(likely):
        return Staffing(0.0, abandoned)
    first, end = int(likely[0]), int(likely[-1]) + 1
    late = float(_late(first, end, servers * mu, theta, target) @ queued[first:end]) / total
    return Staffing(min(late, 1.0), abandoned)


def _departures(arrivals: float, mu: float, theta: float, servers: int) -> Vector:
    """Departures a second with 1, 2, … in the system, up to so many that there are practically never more."""
    waiting = max((arrivals - servers * mu) / theta, 0.0)  # where arrivals and departures meet
    most = servers + math.ceil(waiting + TAIL * math.sqrt((arrivals + servers * mu) / theta) + TAIL)
    number = np.arange(1, min(most, MOST_IN_SYSTEM) + 1)
    return np.asarray(np.minimum(number, servers) * mu + np.maximum(number - servers, 0) * theta, dtype=np.float64)


def _late(first: int, end: int, pace: float, theta: float, target: float) -> Vector:
    """Chance that one who finds `first`, … `end` − 1 waiting is not served within the target: it takes so many
    departures + 1.

    Departures ahead come at pace + k·theta while k wait; the sum of those times is compared with the target by its
    mean and variance (gamma), times the chance of not giving up first.
    """
    from scipy.special import gammaincc  # type: ignore[import-untyped]  # scipy ships no types

    each = 1.0 / (pace + theta * np.arange(end))
    mean, variance = np.cumsum(each)[first:], np.cumsum(each * each)[first:]
    shape, ratio = mean * mean / variance, target / mean
    later = np.where(ratio < 1.0, 1.0, 0.0)
    if target > 0:
        unsure = shape * (ratio - 1.0 - np.log(ratio)) < CERTAIN
        later[unsure] = gammaincc(shape[unsure], (shape * ratio)[unsure])
    gave_up = 1.0 - np.exp(-theta * np.minimum(mean, target))
    return np.asarray(np.minimum(later + (1.0 - later) * gave_up, 1.0), dtype=np.float64)


def agents_needed(  # the contract's `impact`
    arrivals_per_min: float, handling_s: float, concurrency: float, patience_s: float, target_s: float, goal: float
) -> int:
    """The fewest agents with whom the share `goal` is answered within the target, at this rate of arrivals."""
    if arrivals_per_min <= 0 or handling_s < NO_TIME_S:
        return 0
    rate, each = arrivals_per_min / 60.0, max(concurrency, 1.0)

    def short(agents: int) -> bool:
        servers = _servers(agents, each)
        return erlang_a(rate, handling_s, patience_s, servers, target_s).wait_over > 1.0 - goal

    busy = rate * handling_s / each * max(math.exp(-target_s / patience_s), goal)
    low, high = _around(short, max(math.ceil(busy), 1))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if short(middle) else (low, middle)
    return high


def _around(short: Callable[[int], bool], busy: int) -> tuple[int, int]:
    """Too few agents, and enough. It begins with those who would do if all came evenly: the answer is some roots of
    that away, and systems far from it take longest to reckon.
    """
    step = math.isqrt(busy) // 4 + 1
    low = high = busy
    if short(busy):
        while high == low or (high < MOST_AGENTS and short(high)):
            low, high, step = high, high + step, 2 * step
    else:
        while low == high or (low > 0 and not short(low)):
            low, high, step = max(low - step, 0), low, 2 * step
    return low, high


def _servers(agents: int, concurrency: float) -> int:
    return max(round(agents * concurrency), 1)


def drain_s(backlog: int, arrivals_per_min: float, handling_s: float, concurrency: float, agents: int) -> float | None:
    """Seconds until the backlog is worked off by so many agents; None while arrivals keep up with them."""
    if backlog <= 0 or handling_s < NO_TIME_S:
        return 0.0
    excess = agents * max(concurrency, 1.0) / handling_s - arrivals_per_min / 60.0
    return backlog / excess if excess > 0 else None


def drain_plus(
    backlog: int, arrivals_per_min: float, handling_s: float, concurrency: float, agents: int, more: Sequence[int]
) -> dict[int, float | None]:
    """The drain time with so many more agents, for each number asked for."""
    return {n: drain_s(backlog, arrivals_per_min, handling_s, concurrency, agents + n) for n in more}
