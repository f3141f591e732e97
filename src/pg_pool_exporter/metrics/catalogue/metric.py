"""What a metric is, and the list of all of them in the order of the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

MetricType = Literal["gauge", "counter", "histogram"]
Section = Literal["pool", "server", "bouncer", "joined", "exporter"]

# The label value for all names over a cap.
OTHER = "other"


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """One metric family. Compared and hashed by identity: each exists once.

    `labels` gives the order in which label values are written everywhere.
    `bounds` are a histogram's upper bounds in seconds, without +Inf.
    """

    name: str
    type: MetricType
    section: Section
    labels: tuple[str, ...]
    help: str
    bounds: tuple[float, ...] = ()


METRICS: list[Metric] = []

Define = Callable[..., Metric]


def family(section: Section, prefix: str, *labels: str) -> Define:
    """A function that defines metrics of one section, with a common prefix and first labels."""

    def define(
        kind: MetricType, name: str, text: str, *more: str, bounds: tuple[float, ...] = ()
    ) -> Metric:
        metric = Metric(f"{prefix}_{name}", kind, section, (*labels, *more), text, bounds)
        METRICS.append(metric)
        return metric

    return define
