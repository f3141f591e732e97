"""The type of a metric, and the list of all metrics in the order of the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

MetricType = Literal["gauge", "counter", "histogram", "gaugehistogram"]
"""A gaugehistogram shows what there is now: its counts fall, too."""
Section = Literal["pool", "server", "bouncer", "joined", "exporter"]
Record = type[object]

# The label value for all names over a cap.
OTHER = "other"


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """One metric family. Compared and hashed by identity: each exists once.

    `labels` gives the order in which label values are written everywhere.
    `bounds` are a histogram's upper bounds, without +Inf: seconds, but connections of
    `pg_pool_demand_connections`.
    """

    name: str
    type: MetricType
    section: Section
    labels: tuple[str, ...]
    help: str
    bounds: tuple[float, ...] = ()
    record: Record | None = None
    """The class of the model that has its value."""
    fields: tuple[str, ...] = ()
    """Fields of `record`. One holds the value, or maps values of the `own` labels to it. Several
    are one series each, and have the names of the label's values."""
    own: tuple[str, ...] = ()
    """The labels beyond those that all metrics of `record` have."""
    values: tuple[str, ...] = ()
    """All values of the last label; empty where they are not known in advance."""


METRICS: list[Metric] = []

Define = Callable[..., Metric]


def family(section: Section, prefix: str, *labels: str, record: Record | None = None) -> Define:
    """A function that defines metrics of one `record`, with a common prefix and first labels."""

    def define(
        kind: MetricType,
        name: str,
        text: str,
        *own: str,
        field: str | tuple[str, ...] = (),
        values: tuple[str, ...] = (),
        bounds: tuple[float, ...] = (),
    ) -> Metric:
        fields = (field,) if isinstance(field, str) else field
        metric = Metric(
            f"{prefix}_{name}",
            kind,
            section,
            (*labels, *own),
            text,
            bounds,
            record,
            fields,
            own,
            values or (fields if len(fields) > 1 else ()),
        )
        METRICS.append(metric)
        return metric

    return define
