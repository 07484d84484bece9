"""One panel of a backtest's page: a rule in a place over time, as SVG. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from zoneinfo import ZoneInfo

from alerts.readings import METRICS
from tidewatch.backtest_result import POINTS, Minutes, Panel, Result
from tidewatch.backtest_words import both, clock, number, pair

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 1100, 190, 56, 22, 8


def chart(panel: Panel, result: Result, zone: ZoneInfo) -> str:
    """One panel, with its heading."""
    scale = _Scale(panel, result)
    parts = [_grid(scale, zone), *_spans(panel, result, scale, zone)]
    if panel.low is not None and panel.high is not None:
        parts.append(f'<path class="band" d="{_area(panel.low, panel.high, scale)}"/>')
    if panel.expected is not None:
        parts.append(f'<path class="expected" d="{_line(panel.expected, scale)}"/>')
    if panel.bound is not None:
        y = scale.y(panel.bound)
        parts.append(f'<line class="bound" x1="{LEFT}" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>')
    parts.append(f'<path class="seen" d="{_line(panel.seen, scale)}"/>')
    title = f"{escape(panel.rule)} · {escape(panel.where)}"
    metric = METRICS.get(panel.metric)
    names = (metric.zh, metric.en) if metric is not None else (panel.metric, panel.metric)
    return (
        f'<h3>{title} <span class="dim">{pair(*map(escape, names))} ({escape(panel.unit)}) · {len(panel.fires)} '
        f'{both("fires")}</span></h3><svg viewBox="0 0 {WIDTH} {HEIGHT + BOTTOM}" role="img" '
        f'aria-label="{title}">{"".join(parts)}</svg>'
    )


class _Scale:
    def __init__(self, panel: Panel, result: Result) -> None:
        self.since, self.until = result.since, max(result.until, result.since + 60_000)
        self.minutes = (self.until - self.since) // 60_000
        tops = [top for part in (panel.seen, panel.high) if part for _, _, top in part.points(self.minutes)]
        self.top = max([1e-9, *tops, *([] if panel.bound is None else [panel.bound])]) * 1.05

    def x(self, at: int) -> float:
        share = (min(max(at, self.since), self.until) - self.since) / (self.until - self.since)
        return LEFT + share * (WIDTH - LEFT)

    def y(self, value: float) -> float:
        return HEIGHT - min(max(value, 0.0) / self.top, 1.0) * (HEIGHT - TOP)


def _grid(scale: _Scale, zone: ZoneInfo) -> str:
    parts = []
    for share in (0.0, 0.5, 1.0):
        y = scale.y(share * scale.top)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{number(share * scale.top)}</text>')
    form = "%m-%d %H:%M" if scale.minutes < 7 * 1440 else "%m-%d"
    for n in range(8):
        at = scale.since + (scale.until - scale.since) * n // 8
        parts.append(f'<text x="{scale.x(at):.1f}" y="{HEIGHT + 16}">{clock(at, zone, form)}</text>')
    return "".join(parts)


def _spans(panel: Panel, result: Result, scale: _Scale, zone: ZoneInfo) -> Iterable[str]:
    for incident in result.incidents:
        if incident.of(panel.tenant):
            x, width = scale.x(incident.since), max(scale.x(incident.until) - scale.x(incident.since), 2.0)
            words = f"{incident.name} {clock(incident.since, zone)} – {clock(incident.until, zone, '%H:%M')}"
            yield (
                f'<rect class="incident" x="{x:.1f}" y="0" width="{width:.1f}" height="4"><title>{escape(words)}'
                "</title></rect>"
            )
    for fire in panel.fires:
        x, width = scale.x(fire.since), max(scale.x(fire.until) - scale.x(fire.since), 1.5)
        words = (
            f"{clock(fire.since, zone)} – {clock(fire.until, zone, '%H:%M')}, {(fire.until - fire.since) // 60_000} min"
        )
        mark = "mark" if fire.told else "quiet"
        yield (
            f'<g><rect class="fire" x="{x:.1f}" y="{TOP}" width="{width:.1f}" height="{HEIGHT - TOP}"/>'
            f'<path class="{mark}" d="M{x:.1f} {HEIGHT}l-4 8h8z"/><title>{escape(words)}</title></g>'
        )


def _line(minutes: Minutes, scale: _Scale) -> str:
    """A line through the greatest of each bin; a gap where nothing is known."""
    parts, before = [], None
    step = _step(minutes, scale)
    for at, _, value in minutes.points(scale.minutes):
        if at < scale.since or at >= scale.until:
            continue
        pen = "M" if before is None or at - before > 2 * step else "L"
        parts.append(f"{pen}{scale.x(at):.1f} {scale.y(value):.1f}")
        before = at
    return "".join(parts)


def _area(low: Minutes, high: Minutes, scale: _Scale) -> str:
    def kept(minutes: Minutes, top: bool) -> list[tuple[float, float]]:
        points = [(at, b if top else a) for at, a, b in minutes.points(scale.minutes)]
        return [(scale.x(at), scale.y(value)) for at, value in points if scale.since <= at < scale.until]

    edge = [*kept(high, True), *reversed(kept(low, False))]
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in edge) + "Z" if edge else ""


def _step(minutes: Minutes, scale: _Scale) -> int:
    return max(-(-max(scale.minutes, len(minutes.values)) // POINTS), 1) * 60_000
