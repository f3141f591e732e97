"""Polls the targets for a moment."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from pg_pool_exporter.analysis.analyzer import Analyzer
from pg_pool_exporter.analysis.exporter_status import ExporterStatus
from pg_pool_exporter.config import Config
from pg_pool_exporter.discovery import Discovery
from pg_pool_exporter.polling.pollers import Pollers
from pg_pool_exporter.polling.store import Store
from pg_pool_exporter.web.findings_json import findings_json

DEFAULT_SECONDS = 10.0
# Polls of each target: one reading of both sides proves nothing.
_MIN_POLLS = 8
# The shortest interval, in seconds.
_MIN_INTERVAL = 0.5
_LOOK_SECONDS = 1.0
_SCHEDULED = ("servers", "apps", "pgbouncers")


async def watch(config: Config, seconds: float, runbooks: str) -> str:
    """The document of `/api/v1/findings` after this time; failures are in the log.

    `runbooks` is their address.
    """
    discovery = Discovery(_hurried(config, seconds))
    store = Store()
    analyzer = Analyzer(store, config)
    pollers = Pollers(store)
    end = time.monotonic() + seconds
    try:
        await discovery.tasks.refresh()
        while (left := end - time.monotonic()) > 0:
            await discovery.look()
            await pollers.follow(discovery.targets())
            analyzer.update()  # else all states of a long watch would wait for the end
            await asyncio.sleep(min(left, _LOOK_SECONDS))
        analyzer.exporter = ExporterStatus.of(discovery)
        return findings_json(analyzer.update(), time.time(), runbooks)
    finally:
        await asyncio.gather(pollers.close(), discovery.tasks.close())


def _hurried(config: Config, seconds: float) -> Config:
    """The configuration with intervals short enough for the polls of this time."""
    most = max(_MIN_INTERVAL, seconds / _MIN_POLLS)

    def hurried(section: Any) -> Any:
        return section.model_copy(
            update={"interval": min(section.interval, most), "timeout": min(section.timeout, most)}
        )

    listed = {key: tuple(map(hurried, getattr(config, key))) for key in _SCHEDULED}
    changed = {**listed, "processes": hurried(config.processes)}
    # The positions in the servers' logs belong to the running exporter.
    return config.model_copy(update={**changed, "state_dir": ""})
