"""Writes series as Prometheus text or OpenMetrics 1.0.

Both differ only in headers and end, so the lines of a series serve both. The standard library
only, because the client imports it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import accumulate
from math import isinf

from pg_pool_exporter.metrics.catalogue import METRICS, Metric
from pg_pool_exporter.metrics.series import Series
from pg_pool_exporter.model import Histogram

TEXT_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"

Blocks = Mapping[Metric, str]
"""The lines of each metric's series, without its header."""


def blocks(series: Iterable[Series]) -> dict[Metric, str]:
    """The lines of `series` by metric."""
    lines: dict[Metric, list[str]] = {}
    for metric, labels, value in series:
        lines.setdefault(metric, []).append(
            _histogram(metric, labels, value)
            if isinstance(value, Histogram)
            else f"{metric.name}{_braces(metric.labels, labels)} {number(value)}\n"
        )
    return {metric: "".join(parts) for metric, parts in lines.items()}


def page(parts: Iterable[Blocks], *, openmetrics: bool = False) -> str:
    """One page of several blocks, its metrics in the order of the catalogue."""
    gathered: dict[Metric, list[str]] = {}
    for part in parts:
        for metric, text in part.items():
            gathered.setdefault(metric, []).append(text)
    return "".join(assembled(gathered, openmetrics=openmetrics))


def assembled(lines: Mapping[Metric, Iterable[str]], *, openmetrics: bool) -> list[str]:
    """The pieces of one page from the lines of each metric, in the order of the catalogue."""
    out: list[str] = []
    for metric in METRICS:
        if metric in lines:
            out.append(header(metric, openmetrics=openmetrics))
            out += lines[metric]
    if openmetrics:
        out.append("# EOF\n")
    return out


@lru_cache(maxsize=1024)
def header(metric: Metric, *, openmetrics: bool = False) -> str:
    """The HELP and TYPE lines. In OpenMetrics a counter's family has no `_total`."""
    name = metric.name
    text = metric.help.replace("\\", r"\\").replace("\n", r"\n")
    if openmetrics:
        text = text.replace('"', r"\"")
        if metric.type == "counter":
            name = name.removesuffix("_total")
    # Prometheus's own format knows no gaugehistogram, and one metric has the same names in both.
    kind = "histogram" if metric.bounds else metric.type
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n"


def number(value: float) -> str:
    """A value as both formats write it: whole numbers without a fraction."""
    if isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    whole = int(value)
    return str(whole) if whole == value else repr(value)


def bound(value: float) -> str:
    """An upper bound as OpenMetrics writes it (`1.0`)."""
    return repr(float(value))


def _histogram(metric: Metric, labels: tuple[str, ...], value: Histogram) -> str:
    pairs = _pairs(metric.labels, labels)
    own = _braces(metric.labels, labels)
    bucket = f"{metric.name}_bucket{{{pairs}," if pairs else f"{metric.name}_bucket{{"
    cumulated = list(accumulate(value.counts))
    lines = [
        f"{bucket}{le} {count}\n" for le, count in zip(_bounds(metric), cumulated, strict=True)
    ]
    lines.append(f"{metric.name}_sum{own} {number(value.total)}\n")
    lines.append(f"{metric.name}_count{own} {cumulated[-1]}\n")
    return "".join(lines)


@lru_cache(maxsize=64)
def _bounds(metric: Metric) -> tuple[str, ...]:
    return tuple(f'le="{le}"}}' for le in (*map(bound, metric.bounds), "+Inf"))


def _braces(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    pairs = _pairs(names, values)
    return f"{{{pairs}}}" if pairs else ""


# Successive series share most labels, those of a pool all but the last: a small cache is enough.
@lru_cache(maxsize=256)
def _pairs(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    if not (names or values):
        return ""
    front, name, value = _pairs(names[:-1], values[:-1]), names[-1], values[-1]
    # An empty value is the same as no label.
    if not value:
        return front
    pair = f'{name}="{escape(value)}"'
    return f"{front},{pair}" if front else pair


def escape(value: str) -> str:
    """A label value with backslash, quote and newline escaped, and surrogates replaced."""
    escaped = value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return escaped if escaped.isascii() else escaped.encode("utf-8", "replace").decode()
