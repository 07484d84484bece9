"""A backtest as a picture: one panel for a rule in a place, with band, fires and incidents. Edge: a file."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tidewatch.backtest_result import Minutes, Panel, Result

MOST = 12
"""Panels of the picture; the page has more."""
FONTS = ["DejaVu Sans", "Noto Sans CJK SC", "Noto Sans SC", "WenQuanYi Zen Hei", "PingFang SC", "Microsoft YaHei"]
"""The first is always there; the others only where the machine has them, for Chinese names of queues."""
SEEN, BAND, FIRE, INCIDENT, DIM = "#1f6feb", "#1f6feb", "#d1242f", "#bf8700", "#5b6b7a"


def draw(result: Result, file: Path) -> None:
    """Write the picture (PNG)."""
    import matplotlib as mpl

    mpl.use("Agg")
    import logging

    from matplotlib import dates
    from matplotlib import pyplot as plt

    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # fonts that are not there are no news
    mpl.rcParams["font.family"] = FONTS
    panels = list(result.panels[:MOST])
    zone = ZoneInfo(result.zone)
    rows = max(len(panels), 1)
    figure, axes = plt.subplots(rows, 1, figsize=(13, 1.0 + 2.1 * rows), sharex=True, squeeze=False)
    figure.suptitle(_title(result, zone), x=0.01, ha="left", fontsize=11)
    for axis, panel in zip(axes[:, 0], panels, strict=False):
        _panel(axis, panel, result, zone)
    if not panels:
        axes[0, 0].text(0.5, 0.5, "no rule fired", ha="center", transform=axes[0, 0].transAxes, color=DIM)
    axes[-1, 0].set_xlim(_at(result.since, zone), _at(result.until, zone))
    axis = axes[-1, 0].xaxis
    axis.set_major_formatter(dates.ConciseDateFormatter(axis.get_major_locator(), tz=zone))  # type: ignore[no-untyped-call]  # it has no types
    figure.tight_layout(rect=(0, 0, 1, 0.99))
    figure.savefig(file, dpi=110)
    plt.close(figure)


def _title(result: Result, zone: ZoneInfo) -> str:
    form = "%Y-%m-%d %H:%M"
    span = f"{_at(result.since, zone):{form}} to {_at(result.until, zone):{form}} ({result.zone})"
    more = f"; {len(result.panels) - MOST} more panels are on the page" if len(result.panels) > MOST else ""
    return f"{result.rules}: fires: {len(result.fires)}, {span}{more}"


def _at(at: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(at / 1000, UTC).astimezone(zone)


def _panel(axis: Any, panel: Panel, result: Result, zone: ZoneInfo) -> None:
    minutes = (result.until - result.since) // 60_000

    def points(of: Minutes, top: bool = True) -> tuple[list[datetime], list[float]]:
        kept = [(at, b if top else a) for at, a, b in of.points(minutes)]
        return [_at(at, zone) for at, _ in kept], [value for _, value in kept]

    if panel.low is not None and panel.high is not None:
        at, high = points(panel.high)
        low = points(panel.low, top=False)[1]
        axis.fill_between(at, low, high, color=BAND, alpha=0.15, linewidth=0, label="usual range")
    if panel.expected is not None:
        axis.plot(*points(panel.expected), color=DIM, linewidth=0.9, linestyle="--", label="expected")
    if panel.bound is not None:
        axis.axhline(panel.bound, color=FIRE, linewidth=0.8, linestyle=":", label="threshold")
    axis.plot(*points(panel.seen), color=SEEN, linewidth=0.9, label="seen")
    for n, fire in enumerate(panel.fires):
        label = "fired" if n == 0 else None
        axis.axvspan(_at(fire.since, zone), _at(fire.until, zone), color=FIRE, alpha=0.25, linewidth=0.8, label=label)
    about = [incident for incident in result.incidents if incident.of(panel.tenant)]
    for n, incident in enumerate(about):
        ends = _at(incident.since, zone), _at(incident.until, zone)
        label = "confirmed incident" if n == 0 else None
        axis.axvspan(*ends, ymin=0.96, color=INCIDENT, linewidth=0.8, label=label)
    axis.set_ylim(bottom=0)
    axis.set_title(f"{panel.rule} · {panel.where} · {panel.metric} ({panel.unit})", loc="left", fontsize=9)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)
    axis.legend(loc="lower right", bbox_to_anchor=(1, 1), fontsize=7, frameon=False, ncols=6, borderaxespad=0.2)
