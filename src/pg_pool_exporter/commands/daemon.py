"""Puts the parts together: start, reload, stop."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import structlog

from pg_pool_exporter import __version__
from pg_pool_exporter.analysis import Doctor
from pg_pool_exporter.analysis.correlate.joiner import Joiner
from pg_pool_exporter.config import Config, ConfigError, too_slow
from pg_pool_exporter.discovery import Discovery, ProviderStatus
from pg_pool_exporter.exposition.pages import Exposition
from pg_pool_exporter.exposition.self_metrics import ReloadStatus
from pg_pool_exporter.model import TargetId
from pg_pool_exporter.polling.poller import Poller, unforeseen
from pg_pool_exporter.polling.pollers import Pollers
from pg_pool_exporter.polling.store import Store, TargetState
from pg_pool_exporter.sources.server_log.state_lock import StateLock
from pg_pool_exporter.web.config import WebConfigFile
from pg_pool_exporter.web.handlers import Web
from pg_pool_exporter.web.server import Address, WebServer

log = structlog.get_logger(__name__)

# Time between two looks at which targets there are, in seconds.
DISCOVERY_INTERVAL = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the command line says."""

    load: Callable[[], Config]
    """Reads the configuration, at the start and for each reload; raises `ConfigError`."""
    listen: tuple[Address, ...]
    telemetry_path: str = "/metrics"
    web_config_file: Path | None = None
    enable_lifecycle: bool = False


class Daemon:
    """The exporter as a service.

    Raises `ConfigError` when the configuration or the web configuration is wrong, or another
    exporter uses the state directory.
    """

    def __init__(self, settings: Settings) -> None:
        self._load = settings.load
        config = settings.load()
        _warn(config)
        self._wake = asyncio.Event()
        self._discovery = Discovery(config, changed=self._wake.set)
        self._state_lock = StateLock()
        self._state_lock.move(self._discovery.state_directory)
        self._store = Store()
        self._exposition = Exposition(self._store, ReloadStatus(True, time.time()))
        self._joiner = Joiner(self._store, config.apps, tell=self._exposition.show_joined)
        self._pollers = Pollers(self._store)
        self._unpolled: set[TargetId] = set()
        self._reloads: set[asyncio.Task[bool]] = set()
        # Not the loop's own threads: whatever holds those up must not hold up a reload. A single
        # one: reloads take their turn, so what was read last is what holds.
        self._loader = ThreadPoolExecutor(1, "load")
        self._stopping = asyncio.Event()
        web = Web(
            self._store,
            self._exposition,
            Doctor(self._store, self._joiner),
            telemetry_path=settings.telemetry_path,
            unpolled=self.unpolled,
            reload=self.reload if settings.enable_lifecycle else None,
        )
        file = settings.web_config_file
        self.server = WebServer(
            web.routes(), settings.listen, WebConfigFile(file) if file is not None else None
        )

    async def run(self) -> None:
        """Poll and serve until `stop`, or SIGTERM or SIGINT; SIGHUP reloads.

        Raises `ListenError` when an address cannot be had.
        """
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self._start_reload)
        for ending in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(ending, self.stop)
        # What has been imported stays for good: each collection that looked at it again would keep
        # scrapes waiting for some hundredths of a second.
        gc.freeze()
        # Logs are counted in threads; each time that the loop has to wait for one of them it is to
        # be a tenth of Python's 5 ms.
        sys.setswitchinterval(0.0005)
        try:
            self._discovery.providers.start()
            self._unpolled = {target.id for target in self._discovery.targets()}
            await self.server.start()
            log.info(
                "listening",
                version=__version__,
                addresses=", ".join(map(str, self.server.bound)),
                sockets=str(self._discovery.socket_directory or "none"),
            )
            await self._keep_up()
        finally:
            for reload in self._reloads:
                reload.cancel()
            await asyncio.gather(
                self.server.close(), self._pollers.close(), self._discovery.providers.close()
            )
            self._state_lock.release()
            for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
            gc.unfreeze()
        log.info("stopped")

    def stop(self) -> None:
        """Have `run` end."""
        self._stopping.set()
        self._wake.set()

    async def reload(self) -> bool:
        """Load the configuration again; False when it is wrong: then the former one stays.

        Targets that it names as before are polled on without a break. It goes on when whoever
        asked for it does not wait any more.
        """
        return await asyncio.shield(self._start_reload())

    def unpolled(self) -> list[str]:
        """Names of the targets found at the start that are not polled yet, sorted.

        Later ones don't count: a scrape must not fail because a process has just started.
        """
        return sorted(
            key.label
            for key in self._unpolled
            if (state := self._store.get(key)) is None or not state.health.polls
        )

    def _start_reload(self) -> asyncio.Task[bool]:
        task = asyncio.create_task(self._reload())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)
        return task

    async def _reload(self) -> bool:
        loop = asyncio.get_running_loop()
        try:
            config = await loop.run_in_executor(self._loader, self._load)
            former = self._discovery
            discovery = Discovery(config, former, self._wake.set)
            self._state_lock.move(discovery.state_directory)
        except ConfigError as error:
            return self._refuse(error=str(error))
        except Exception as error:  # noqa: BLE001 - whatever is in a file, the polls go on
            told = unforeseen(error)
            return self._refuse(error=told.error, stack=told.stack)
        self._discovery = discovery
        former.providers.stop()
        self._discovery.providers.start()
        self._joiner.configure(config.apps)
        self._exposition.reload = ReloadStatus(True, time.time())
        await self._pollers.follow(self._discovery.targets())
        log.info("configuration loaded")
        _warn(config)
        return True

    def _refuse(self, **details: str | None) -> bool:
        former = self._exposition.reload.last_success
        self._exposition.reload = ReloadStatus(False, former)
        log.error("configuration wrong, the former one stays", **details)
        return False

    async def _keep_up(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            targets = self._discovery.targets()
            await self._pollers.follow(targets)
            self._unpolled.intersection_update(target.id for target in targets)
            self._exposition.discovered = self._discovery.providers.statuses
            try:
                async with asyncio.timeout(DISCOVERY_INTERVAL):
                    await self._wake.wait()
            except TimeoutError:
                continue


class Outcome(NamedTuple):
    """What polling everything once gave."""

    page: str
    """Text format."""
    successful: bool
    """Whether every list of targets could be had, and every target answered."""


def _warn(config: Config) -> None:
    for sentence in too_slow(config):
        log.warning(sentence)


async def poll_once(config: Config) -> Outcome:
    """Look up targets, and poll each of them once, pools and then servers.

    Failures are told in the log.
    """
    store = Store()
    exposition = Exposition(store, ReloadStatus(True, time.time()))
    Joiner(store, config.apps, tell=exposition.show_joined)
    discovery = await _poll_into(store, config)
    exposition.discovered = discovery.providers.statuses
    page = exposition.plain(openmetrics=False).decode()
    return Outcome(page, _all_up(store, discovery))


class Probe(NamedTuple):
    """How polling everything once went."""

    states: Sequence[TargetState]
    places: Sequence[ProviderStatus]
    """Where targets were looked up."""
    successful: bool
    """Whether every target answered, and every place could be looked up."""


async def probe(config: Config) -> Probe:
    """Look up targets, and poll each of them once. What fails, or is missing, is in the log."""
    store = Store()
    discovery = await _poll_into(store, config)
    return Probe(store.states(), discovery.providers.statuses, _all_up(store, discovery))


def _all_up(store: Store, discovery: Discovery) -> bool:
    return all(one.up for one in discovery.providers.statuses) and all(
        state.health.up for state in store.states()
    )


async def _poll_into(store: Store, config: Config) -> Discovery:
    # What a daemon keeps of the servers' logs is not ours to move on.
    discovery = Discovery(config.model_copy(update={"state_dir": ""}))
    await discovery.providers.refresh()
    pollers = [(target, Poller(target, target.source(), store)) for target in discovery.targets()]
    try:
        # Servers last: their pools' demand is added up when they are read. Their logs with them:
        # a server says how it logs.
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
