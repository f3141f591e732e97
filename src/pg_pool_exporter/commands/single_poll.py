"""Polls all targets once, for commands that end then."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from pg_pool_exporter.analysis.analyzer import Analyzer
from pg_pool_exporter.analysis.exporter_status import ExporterStatus
from pg_pool_exporter.config import Config
from pg_pool_exporter.discovery import Discovery
from pg_pool_exporter.exposition.pages import Exposition
from pg_pool_exporter.polling.poller import Poller
from pg_pool_exporter.polling.store import Store, TargetState

_LOOK_BACK = 256 * 1024
"""Bytes at the end of a server's log that a probe reads, to see whether it is understood."""


class Outcome(NamedTuple):
    """The result of polling all targets once."""

    page: str
    """Text format."""
    successful: bool
    """Whether service discovery succeeded, and every target answered."""


async def poll_once(config: Config) -> Outcome:
    """Look up targets, and poll each of them once, pools and then servers.

    Failures are in the log.
    """
    store = Store()
    analyzer = Analyzer(store, config)
    exposition = Exposition(store, analyzer)
    discovery = await _poll_into(store, config)
    analyzer.exporter = replace(ExporterStatus.of(discovery), config_loaded=time.time())
    analyzer.update()
    page = exposition.plain(openmetrics=False).decode()
    return Outcome(page, _all_up(store, discovery))


class Probe(NamedTuple):
    """The states after polling all targets once."""

    states: Sequence[TargetState]
    exporter: ExporterStatus
    """The state of service discovery and of the socket directory."""


async def probe(config: Config) -> Probe:
    """Discover targets and poll each of them once."""
    store = Store()
    discovery = await _poll_into(store, config, look_back=_LOOK_BACK)
    return Probe(store.states(), ExporterStatus.of(discovery))


def _all_up(store: Store, discovery: Discovery) -> bool:
    return all(one.up for one in discovery.tasks.statuses) and all(
        state.health.up for state in store.states()
    )


async def _poll_into(store: Store, config: Config, look_back: int = 0) -> Discovery:
    # The positions in servers' logs belong to the running exporter.
    discovery = Discovery(config.model_copy(update={"state_dir": ""}), look_back=look_back)
    await asyncio.gather(discovery.tasks.refresh(), discovery.look())
    pollers = [(target, Poller(target, target.source(), store)) for target in discovery.targets()]
    try:
        # Servers last: their sessions are joined with the pools that are known by then. Logs with
        # them, because the server reports their format.
        for servers in (False, True):
            await asyncio.gather(
                *(
                    poller.poll()
                    for target, poller in pollers
                    if (target.id.kind in ("server", "log")) is servers
                )
            )
    finally:
        await asyncio.gather(*(poller.close() for _, poller in pollers))
    return discovery
