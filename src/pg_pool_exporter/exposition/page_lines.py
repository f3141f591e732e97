"""The lines of the whole page, kept in the order in which they are written.

At 1,000 targets, gathering all their lines anew for each page would take ten times as long as
joining them: so only those of targets that have changed are put into their places.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from pg_pool_exporter.metrics.catalogue import Metric
from pg_pool_exporter.metrics.text_format import Blocks, assembled
from pg_pool_exporter.model import TargetId

Parts: TypeAlias = tuple[Blocks, ...]


class PageLines:
    """Lines by metric, and in each metric by target in the order in which the targets came."""

    def __init__(self) -> None:
        self._shown: dict[TargetId, Parts] = {}
        self._by_metric: dict[Metric, dict[TargetId, str]] = {}

    def show(self, parts: Mapping[TargetId, Parts]) -> None:
        """Have the page hold exactly `parts`. The same object as before is taken for unchanged."""
        for key in self._shown.keys() - parts.keys():
            self._replace(key, ())
            del self._shown[key]
        for key, new in parts.items():
            if self._shown.get(key) is not new:
                self._replace(key, new)
                self._shown[key] = new

    def of_targets(self, keys: Iterable[TargetId]) -> Iterator[Blocks]:
        """The lines of some of the targets."""
        for key in keys:
            yield from self._shown.get(key, ())

    def page(self, *, openmetrics: bool) -> list[str]:
        """The whole page, in pieces."""
        lines = {metric: texts.values() for metric, texts in self._by_metric.items() if texts}
        return assembled(lines, openmetrics=openmetrics)

    def _replace(self, key: TargetId, parts: Parts) -> None:
        texts: dict[Metric, str] = {}
        for part in parts:
            for metric, text in part.items():
                texts[metric] = texts[metric] + text if metric in texts else text
        for former in self._shown.get(key, ()):
            for metric in former.keys() - texts.keys():
                self._by_metric[metric].pop(key, None)
        for metric, text in texts.items():
            self._by_metric.setdefault(metric, {})[key] = text
