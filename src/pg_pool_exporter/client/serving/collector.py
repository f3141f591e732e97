"""A collector for prometheus_client, which shows the pools of its own process only."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from pg_pool_exporter.client.process import PROCESS
from pg_pool_exporter.metrics.series import of_pools
from pg_pool_exporter.metrics.text_format import bound
from pg_pool_exporter.model import Histogram


class Collector:
    """A collector for a registry of prometheus_client, which must be installed.

    `prometheus_client.REGISTRY.register(Collector())` puts this process's pools on the metrics
    page that the application serves already.
    """

    def describe(self) -> list[Any]:
        """Nothing, so that registering doesn't read the pools."""
        return []

    def collect(self) -> Iterator[Any]:
        """The families of prometheus_client."""
        from prometheus_client.metrics_core import Metric

        families: dict[str, Metric] = {}
        for metric, labels, value in of_pools(PROCESS.samples()):
            name = metric.name.removesuffix("_total") if metric.type == "counter" else metric.name
            family = families.setdefault(name, Metric(name, metric.help, metric.type))
            # An empty value is the same as no label, and is left out as on our own page.
            pairs = zip(metric.labels, labels, strict=True)
            named = {label: text for label, text in pairs if text}
            if isinstance(value, Histogram):
                _add_histogram(family, metric.bounds, named, value)
            else:
                family.add_sample(metric.name, named, value)
        yield from families.values()


def _add_histogram(
    family: Any, bounds: tuple[float, ...], labels: dict[str, str], value: Histogram
) -> None:
    cumulated = list(accumulate(value.counts))
    for le, count in zip((*map(bound, bounds), "+Inf"), cumulated, strict=True):
        family.add_sample(f"{family.name}_bucket", {**labels, "le": le}, count)
    family.add_sample(f"{family.name}_sum", labels, value.total)
    family.add_sample(f"{family.name}_count", labels, cumulated[-1])
