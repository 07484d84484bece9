"""The last hours as a small picture: the number that the alert is about, with its bound, and when it began; or, of a
surge and where no course is known, customers' messages a minute and what is usual of them.

A picture of our own numbers alone: no word that anybody wrote is drawn. Latin digits only, so that it needs no fonts.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT = 640, 200
LEFT, RIGHT, TOP, BOTTOM = 40, 12, 12, 26
_PAPER, _INK, _GRID, _BAND = "#ffffff", "#5b6472", "#e6e8ec", "#dbe7f7"
_LINE, _USUAL, _SINCE, _LIMIT = "#1f5fbf", "#8aa4c8", "#c2410c", "#b42318"
MOST = 1_440
"""Points drawn: a day of minutes."""
_SCALE = 2
"""Drawn twice as large, and made smaller: lines without steps."""

Numbers = Sequence[float | None]


def png(chart: Mapping[str, Any], since_ms: int, zone: str) -> bytes | None:
    """The picture of a course (`alerts.courses`) or of a `series` of the feed; None where there is nothing to see."""
    own = "values" in chart
    values = _numbers(chart, "values" if own else "customer_messages")
    if len(values) < 2 or not any(values):
        return None
    size, sign = _scale(values, str(chart.get("unit"))) if own else (1.0, "")
    low, high, usual, values = (
        [None if value is None else value * size for value in part]
        for part in (*(_numbers(chart, name) for name in ("low", "high", "expected")), values)
    )
    limit = float(chart["limit"]) * size if own and chart.get("limit") is not None else None
    first, step_ms = int(chart["from"]), int(chart.get("step_s") or 60) * 1000
    canvas = _Canvas(len(values), *_span([*values, *high, *usual, limit]))
    canvas.band(low, high)
    canvas.grid(first, step_ms, ZoneInfo(zone), sign)
    canvas.line(usual, _USUAL, 1)
    canvas.line(values, _LINE, 2)
    canvas.limit(limit)
    canvas.mark((since_ms - first) / step_ms)
    return canvas.finished()


def _scale(values: Numbers, unit: str) -> tuple[float, str]:
    """By what to multiply so that a person can read it, and the sign behind the number."""
    if unit in ("ms", "s"):
        seconds = 0.001 if unit == "ms" else 1.0
        worst = max(abs(value) for value in values if value is not None) * seconds
        return next(
            (seconds / one, sign)
            for one, sign in ((3_600, " h"), (60, " m"), (1, " s"))
            if worst >= 2 * one or one == 1
        )
    return (100.0, "%") if unit == "ratio" else (1.0, "")


def _span(values: Numbers) -> tuple[float, float]:
    """From where to where the picture goes: from 0, unless something is below it."""
    known = [value for value in values if value is not None]
    bottom = -_round_up(-min(known)) if min(known) < 0 else 0.0
    return bottom, _round_up(max(known)) if max(known) > 0 else 0.0


def _numbers(chart: Mapping[str, Any], name: str) -> list[float | None]:
    found = chart.get(name) or []
    return [float(value) if isinstance(value, int | float) else None for value in found[-MOST:]]


def _round_up(value: float) -> float:
    """The next of 1, 2, 5, 10, 20 …: a bound whose half is a number one can read."""
    size = 1.0
    while True:
        for factor in (1, 2, 5):
            if value <= factor * size:
                return factor * size
        size *= 10


class _Canvas:
    """Points by (number of the pane, value)."""

    def __init__(self, count: int, bottom: float, top: float) -> None:
        self._count, self._bottom, self._top = count, bottom, top
        self._image = Image.new("RGB", (WIDTH * _SCALE, HEIGHT * _SCALE), _PAPER)
        self._draw = ImageDraw.Draw(self._image)
        self._font = ImageFont.load_default(11 * _SCALE)

    def _at(self, number: float, value: float) -> tuple[float, float]:
        across = LEFT + (WIDTH - LEFT - RIGHT) * number / max(1, self._count - 1)
        share = (min(value, self._top) - self._bottom) / (self._top - self._bottom)
        up = HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share
        return across * _SCALE, up * _SCALE

    def band(self, low: Numbers, high: Numbers) -> None:
        """What is usual, as a ribbon; where it is not known there is none."""
        for number in range(min(len(low), len(high)) - 1):
            corners = (low[number], low[number + 1], high[number + 1], high[number])
            if None not in corners:
                a, b, c, d = (float(value or 0) for value in corners)
                places = [(number, a), (number + 1, b), (number + 1, c), (number, d)]
                self._draw.polygon([self._at(place, max(0.0, value)) for place, value in places], fill=_BAND)

    def grid(self, first: int, step_ms: int, zone: ZoneInfo, sign: str = "") -> None:
        """Three lines with their numbers, and the hours below."""
        for share in (0.0, 0.5, 1.0):
            value = self._bottom + (self._top - self._bottom) * share
            start, end = self._at(0, value), self._at(self._count - 1, value)
            self._draw.line((*start, *end), fill=_GRID, width=_SCALE)
            self._text(start[0] - 6 * _SCALE, start[1], f"{value:g}{sign}", "rm")
        for part in range(5):
            number = (self._count - 1) * part / 4
            at = datetime.fromtimestamp((first + number * step_ms) / 1000, UTC).astimezone(zone)
            across, _ = self._at(number, self._bottom)
            anchor = ("lt", "mt", "mt", "mt", "rt")[part]
            self._text(across, (HEIGHT - BOTTOM + 7) * _SCALE, at.strftime("%H:%M"), anchor)

    def _text(self, across: float, down: float, text: str, anchor: str) -> None:
        self._draw.text((across, down), text, fill=_INK, font=self._font, anchor=anchor)

    def line(self, values: Numbers, colour: str, width: int) -> None:
        """The values, with a gap where one is not known."""
        run: list[tuple[float, float]] = []
        for number, value in enumerate([*values, None]):
            if value is not None:
                run.append(self._at(number, value))
                continue
            if len(run) > 1:
                self._draw.line(run, fill=colour, width=width * _SCALE, joint="curve")
            run = []

    def limit(self, value: float | None) -> None:
        """The bound, broken, so that it is not taken for the course."""
        if value is None:
            return
        (left, height), (right, _) = self._at(0, value), self._at(self._count - 1, value)
        step = 8 * _SCALE
        for part in range(int((right - left) / step) + 1):
            if part % 2 == 0:
                begin = left + part * step
                self._draw.line((begin, height, min(begin + step, right), height), fill=_LIMIT, width=_SCALE)

    def mark(self, number: float) -> None:
        """When it began."""
        if 0 <= number <= self._count - 1:
            across, top = self._at(number, self._top)
            _, bottom = self._at(number, self._bottom)
            self._draw.line((across, top, across, bottom), fill=_SINCE, width=_SCALE + 1)

    def finished(self) -> bytes:
        """The picture as PNG."""
        small = self._image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
        out = io.BytesIO()
        small.save(out, "PNG", optimize=True)
        return out.getvalue()
