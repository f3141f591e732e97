"""Bars and lines, as inline SVG. Colours are the style sheet's, by class."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from math import isfinite

from pg_pool_exporter.analysis.history.minutes import MINUTES
from pg_pool_exporter.web.page.markup import Html, element, join

# The last fifth of the width is for waiting requests.
_ROOM, _QUEUE = 80.0, 18.0
_WIDTH = 100.0
_HEIGHT = 20.0


def bar(parts: Iterable[tuple[str, float]], most: float, label: str, waiting: float = 0.0) -> Html:
    """A bar: parts of `most` by class, one after the other, and behind them those that wait.

    The queue's room is full when as many wait as there may be. `label` says the same in words.
    """
    drawn = [_part("room", 0.0, _ROOM)]
    start = 0.0
    for kind, size in parts:
        width = min(_ROOM - start, _ROOM * _share(size, most))
        if width > 0:
            drawn.append(_part(kind, start, width))
            start += width
    if (queue := _share(waiting, most)) > 0:
        drawn.append(_part("waiting", _WIDTH - _QUEUE, max(2.0, _QUEUE * min(1.0, queue))))
    return _svg("bar", f"0 0 {_WIDTH:g} 8", label, drawn)


def sparkline(values: Sequence[float], most: float | None) -> Html | None:
    """The last hour by the minute with gaps where it is unknown, and the maximum; None without two
    minutes to draw.
    """
    known = [value for value in values if isfinite(value)]
    if len(known) < 2:
        return None
    top = max(*known, most if most is not None and isfinite(most) else 0.0, 1.0)
    shapes: list[Html] = []
    for run in _runs(values):
        line = " ".join(f"{at:g},{_HEIGHT - (_HEIGHT - 2) * value / top:.3g}" for at, value in run)
        area = f"{run[0][0]:g},{_HEIGHT:g} {line} {run[-1][0]:g},{_HEIGHT:g}"
        shapes += [element("polygon", points=area), element("polyline", points=line)]
    if most is not None and top == most:
        shapes.append(element("line", x1=0, x2=MINUTES, y1=2, y2=2))
    latest = f"{values[-1]:.3g}" if isfinite(values[-1]) else "unknown"
    gaps = f", {len(values) - len(known)} of them unknown" if len(known) < len(values) else ""
    label = (
        f"checked out in the last {len(values)} minutes{gaps}: between {min(known):.3g} and "
        f"{max(known):.3g}, in the end {latest}"
    )
    return _svg("spark", f"0 0 {MINUTES - 1} {_HEIGHT:g}", label, shapes)


def _runs(values: Sequence[float]) -> Iterator[list[tuple[float, float]]]:
    """Points of the line between two gaps; a single minute is as wide as half of one."""
    start = MINUTES - len(values)
    for is_known, run in groupby(enumerate(values, start), key=lambda point: isfinite(point[1])):
        if is_known:
            points: list[tuple[float, float]] = list(run)
            (at, value), alone = points[0], len(points) == 1
            yield [(at - 0.25, value), (at + 0.25, value)] if alone else points


def _part(kind: str, start: float, width: float) -> Html:
    return element("rect", class_=kind, x=start, width=width, height=8)


def _share(part: float, whole: float) -> float:
    """Between 0 and 1 for any figures."""
    if not isfinite(part) or not isfinite(whole) or part <= 0 or whole <= 0:
        return 0.0
    return min(1.0, part / whole)


def _svg(kind: str, box: str, label: str, shapes: Iterable[Html]) -> Html:
    return element(
        "svg", join(shapes), class_=kind, viewBox=box, preserveAspectRatio="none", role="img",
        aria_label=label,
    )  # fmt: skip
