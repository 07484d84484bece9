"""The figures of a run of the benches, as one table: each with its mark, its peer or ceiling, its command."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

SHORT = os.environ.get("BENCH") == "short"
"""Smaller loads and one run of each, to see that all of it runs. Such figures mean little."""
RUNS = 1 if SHORT else 3


@dataclass(frozen=True)
class Figure:
    """One figure, a median of its runs."""

    what: str
    measured: float
    unit: str
    command: str
    goal: float | None = None
    bar: float | None = None
    """What must not be missed."""
    less: bool = True
    """Smaller is better."""
    beside: str = ""
    """The peer or ceiling of the same run, or what else one has to know."""

    def reaches(self, mark: float | None) -> bool:
        """Whether it is as good as a mark, or there is none."""
        return mark is None or (self.measured <= mark if self.less else self.measured >= mark)

    @property
    def verdict(self) -> str:
        """What to think of it."""
        if self.goal is None and self.bar is None:
            return ""
        if not self.reaches(self.bar):
            return f"BAR MISSED by {self._by(self.bar)}"
        return "ok" if self.reaches(self.goal) else f"goal missed by {self._by(self.goal)}"

    def _by(self, mark: float | None) -> str:
        assert mark
        return f"{abs(self.measured / mark - 1):.0%}"


FIGURES: list[Figure] = []


def note(figure: Figure) -> Figure:
    """Keep it for the table, and say it now."""
    FIGURES.append(figure)
    print(f"\n→ {figure.what}: {_number(figure.measured)} {figure.unit} {figure.verdict} {figure.beside}", flush=True)
    return figure


def table(figures: Sequence[Figure]) -> Iterator[str]:
    """In Markdown."""
    yield "| figure | measured | bar | goal | | beside it | command |"
    yield "|---|--:|--:|--:|---|---|---|"
    for one in figures:
        sign = "≤" if one.less else "≥"
        bar, goal = ("" if mark is None else f"{sign} {mark:g}" for mark in (one.bar, one.goal))
        yield (f"| {one.what} | {_number(one.measured)} {one.unit} | {bar} | {goal} | {one.verdict} | {one.beside} "
               f"| `{one.command}` |")  # fmt: skip


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
