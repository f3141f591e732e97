"""Looks at the targets itself, for a moment."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from pg_pool_exporter.analysis import Doctor
from pg_pool_exporter.analysis.correlate.joiner import Joiner
from pg_pool_exporter.config import Config
from pg_pool_exporter.discovery import Discovery
from pg_pool_exporter.polling.pollers import Pollers
from pg_pool_exporter.polling.store import Store
from pg_pool_exporter.web.findings_json import findings_json

DEFAULT_SECONDS = 10.0
# So many polls of each target at least: one reading of both sides proves nothing.
_LEAST_POLLS = 8
# No target is polled more often than this for us, in seconds.
_LEAST_INTERVAL = 0.5
_LOOK_SECONDS = 1.0
_SCHEDULED = ("servers", "apps", "pgbouncers")


async def watch(config: Config, seconds: float) -> str:
    """The document about what was seen in that time; what fails meanwhile is in the log."""
    discovery = Discovery(_hurried(config, seconds))
    store = Store()
    doctor = Doctor(store, Joiner(store, config.apps))
    pollers = Pollers(store)
    end = time.monotonic() + seconds
    try:
        await discovery.providers.refresh()
        while (left := end - time.monotonic()) > 0:
            await discovery.look()
            await pollers.follow(discovery.targets())
            await asyncio.sleep(min(left, _LOOK_SECONDS))
        return findings_json(doctor.diagnosis(), time.time())
    finally:
        await asyncio.gather(pollers.close(), discovery.providers.close())


def _hurried(config: Config, seconds: float) -> Config:
    """The configuration with intervals that give enough polls in so many seconds."""
    most = max(_LEAST_INTERVAL, seconds / _LEAST_POLLS)

    def hurried(section: Any) -> Any:
        return section.model_copy(
            update={"interval": min(section.interval, most), "timeout": min(section.timeout, most)}
        )

    listed = {key: tuple(map(hurried, getattr(config, key))) for key in _SCHEDULED}
    changed = {**listed, "processes": hurried(config.processes)}
    # What a daemon keeps of the servers' logs is not ours to move on.
    return config.model_copy(update={**changed, "state_dir": ""})
