"""The exporter's series about itself, beside its targets' health."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterable, Iterator
from functools import cache

from prometheus_client.process_collector import ProcessCollector

from pg_pool_exporter import __version__
from pg_pool_exporter.analysis.exporter_status import ExporterStatus
from pg_pool_exporter.analysis.thresholds import SetThreshold
from pg_pool_exporter.metrics import catalogue as c
from pg_pool_exporter.metrics.series import Series
from pg_pool_exporter.metrics.text_format import Blocks, blocks, header

# Reading /proc costs more than the rest of a scrape. Seconds.
PROCESS_REFRESH = 1.0


def series(exporter: ExporterStatus) -> Iterator[Series]:
    """Series about this program, its configuration, and its service discovery."""
    yield Series(c.BUILD_INFO, (__version__, platform.python_version()), 1)
    if exporter.shard is not None:
        yield Series(c.SHARDS, (str(exporter.shard.number),), exporter.shard.of)
    yield Series(c.RELOAD_SUCCESSFUL, (), int(exporter.config_problem is None))
    yield Series(c.RELOAD_TIMESTAMP, (), exporter.config_loaded)
    if exporter.has_web_config:
        yield Series(c.WEB_RELOAD_SUCCESSFUL, (), int(exporter.web_config_problem is None))
    if exporter.socket_directory:
        yield Series(c.SOCKET_DIRECTORY_UP, (), int(exporter.socket_directory_problem is None))
    for status in exporter.lists:
        labels = (status.app, status.mechanism, status.name)
        yield Series(c.DISCOVERY_UP, labels, int(status.up))
        yield Series(c.DISCOVERY_TARGETS, labels, status.targets)


def of_thresholds(thresholds: Iterable[SetThreshold]) -> Iterator[Series]:
    """The thresholds of the findings."""
    for threshold, app, pool, value in thresholds:
        yield Series(c.THRESHOLD, (threshold, app, pool), value)


class ProcessMetrics:
    """`process_*`, refreshed every `PROCESS_REFRESH`.

    `clock` is monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._collector = ProcessCollector(registry=None)
        self._blocks: Blocks = {}
        self.expires = clock()

    def refresh(self) -> None:
        """Read again, when the last reading is too old."""
        now = self._clock()
        if now >= self.expires:
            self.expires = now + PROCESS_REFRESH
            self._blocks = blocks(
                Series(_metric(sample.name, family.type, family.documentation), (), sample.value)
                for family in self._collector.collect()
                for sample in family.samples
            )

    def page(self, *, openmetrics: bool) -> str:
        """The last reading as text, without OpenMetrics' `# EOF`."""
        return "".join(
            header(metric, openmetrics=openmetrics) + lines
            for metric, lines in self._blocks.items()
        )


@cache
def _metric(name: str, kind: str, text: str) -> c.Metric:
    return c.Metric(name, "counter" if kind == "counter" else "gauge", "exporter", (), text)
