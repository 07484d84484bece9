"""Contrast of the board's colours (WCAG 2.x), read from the style sheet itself, in both themes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import gateway.pages

CSS = (Path(gateway.pages.__file__).parent / "wallboard" / "board.css").read_text(encoding="utf-8")

PAIRS = [
    *((f, "bg", 4.5) for f in ("ink", "ink-2", "ink-3", "critical", "warning", "info", "water-line")),
    *((f, "surface", 4.5) for f in ("ink", "ink-2", "ink-3", "critical", "warning", "info", "water-line")),
    ("on-critical", "critical-fill", 4.5), ("on-critical-2", "critical-fill", 4.5), ("on-warning", "warning-fill", 4.5),
    ("on-action", "action", 4.5), ("ink", "heat-1", 4.5), ("ink", "heat-2", 4.5), ("on-heat-3", "heat-3", 4.5),
    ("ink-2", "raised", 4.5), ("ink-3", "raised", 4.5), ("ink-2", "heat-1", 4.5), ("critical", "raised", 4.5),
    ("warning", "raised", 4.5), ("ink", "water-fill", 4.5), ("ink-2", "water-fill", 4.5), ("control", "bg", 3.0),
    ("control", "surface", 3.0), ("focus", "bg", 3.0), ("critical-fill", "bg", 3.0), ("warning-fill", "bg", 3.0),
    ("water-line", "water-fill", 3.0), ("critical-fill", "water-fill", 3.0), ("ink", "band", 3.0), ("age-1", "bg", 3.0),
    ("stale", "bg", 4.5),
]  # fmt: skip


def tokens(theme: str) -> dict[str, str]:
    found = re.search(rf':root\[data-theme="{theme}"\]\s*\{{(.*?)\}}', CSS, re.DOTALL)
    assert found is not None
    return dict(re.findall(r"--([\w-]+):\s*(#[0-9a-fA-F]{6})", found.group(1)))


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_every_text_and_shape_stands_out_from_what_it_stands_on(theme: str) -> None:
    colours = tokens(theme)
    for front, back, least in PAIRS:
        high, low = sorted((luminance(colours[front]), luminance(colours[back])), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= least, (front, back)
