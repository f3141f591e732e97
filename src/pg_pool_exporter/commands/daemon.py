"""Puts the parts together: start, reload, stop."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import structlog

from pg_pool_exporter import __version__
from pg_pool_exporter.analysis.analyzer import Analyzer
from pg_pool_exporter.analysis.exporter_status import ExporterStatus
from pg_pool_exporter.blocking import files
from pg_pool_exporter.blocking.threads import Lane
from pg_pool_exporter.commands.finding_log import FindingLog
from pg_pool_exporter.commands.garbage import GarbageCollections
from pg_pool_exporter.commands.latency import responsive
from pg_pool_exporter.config import Config, ConfigError, Problem, Shard, warnings
from pg_pool_exporter.discovery import Discovery, state_directory
from pg_pool_exporter.exposition.pages import Exposition
from pg_pool_exporter.model import TargetId
from pg_pool_exporter.polling.poller import unforeseen
from pg_pool_exporter.polling.pollers import Pollers
from pg_pool_exporter.polling.store import Store
from pg_pool_exporter.sources.server_log.positions.state_lock import StateLock
from pg_pool_exporter.web.config import WebConfigFile
from pg_pool_exporter.web.handlers import Web
from pg_pool_exporter.web.links import WITHOUT_DASHBOARDS, Links
from pg_pool_exporter.web.passed_sockets import passed_sockets
from pg_pool_exporter.web.server import Address, WebServer

log = structlog.get_logger(__name__)

DEFAULT_PORT = 10432
DISCOVERY_INTERVAL = 1.0
"""Seconds between two looks at the list of targets."""
LOAD_SECONDS = 30.0
"""Deadline for loading the configuration, with all files that it names."""

# Several threads: a load that hangs must not keep a later one from succeeding.
_LOADING = Lane("load", threads=8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The options of the command line that concern the daemon."""

    load: Callable[[], Config]
    """Reads the configuration, at the start and for each reload; raises `ConfigError`."""
    config_file: Path | None = None
    """Where it is read from, for warnings."""
    shard: Shard | None = None
    """The part of the configuration that `load` returns; None is all of it."""
    listen: tuple[Address, ...] = ()
    """Empty: every interface where clients must authenticate, else the loopback only."""
    systemd_socket: bool = False
    """Whether systemd has opened the sockets, instead."""
    telemetry_path: str = "/metrics"
    links: Links = WITHOUT_DASHBOARDS
    """Where the page leads."""
    web_config_file: Path | None = None
    enable_lifecycle: bool = False


class Daemon:
    """The exporter as a service.

    Raises `ConfigError` when the configuration or the web configuration is wrong, or another
    exporter uses the state directory, and `NoThreadError`.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        try:
            loaded = _LOADING.wait(partial(_load, settings, StateLock()), seconds=LOAD_SECONDS)
        except TimeoutError:
            raise ConfigError(settings.config_file or "configuration", [_timed_out()]) from None
        config, self._state_lock = loaded.config, loaded.lock
        _warn(loaded)
        self._wake = asyncio.Event()
        self._discovery = Discovery(config, changed=self._wake.set)
        self._store = Store()
        self._analyzer = Analyzer(self._store, config)
        self._exposition = Exposition(self._store, self._analyzer)
        self._config_problem: str | None = None
        self._config_loaded = time.time()
        self._findings = FindingLog()
        self._events = Lane("events")
        self._garbage = Lane("garbage")
        self._collections = GarbageCollections()
        self._pollers = Pollers(self._store)
        self._unpolled: set[TargetId] = set()
        self._reloads: set[asyncio.Task[bool]] = set()
        # The one that has not begun to read: who asks meanwhile shares it.
        self._next_reload: asyncio.Task[bool] | None = None
        # One after the other, so the configuration that was read last is in use.
        self._reloading = asyncio.Lock()
        self._watching: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        web = Web(
            self._store,
            self._exposition,
            self._analyzer,
            telemetry_path=settings.telemetry_path,
            links=settings.links,
            unpolled=self.unpolled,
            reload=self.reload if settings.enable_lifecycle else None,
        )
        file = settings.web_config_file
        self._web_config = WebConfigFile(file) if file is not None else None
        listeners = passed_sockets(os.environ) if settings.systemd_socket else []
        addresses = () if listeners else settings.listen or _default_addresses(self._web_config)
        self.server = WebServer(web.routes(), addresses, self._web_config, listeners=listeners)
        self._report()

    async def run(self) -> None:
        """Poll and serve until `stop`, or SIGTERM or SIGINT; SIGHUP reloads.

        Raises `ListenError` when an address is not available, and `NoThreadError`.
        """
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self._start_reload)
        # The command has blocked it since its start: a signal that arrived is delivered now.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        for ending in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(ending, self.stop)
        with responsive():
            await self._run(loop)
        log.info("stopped")

    async def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            self._analyzer.start()
            self._discovery.tasks.start()
            await self._discovery.look()
            self._unpolled = {target.id for target in self._discovery.targets()}
            await self.server.start()
            log.info(
                "listening",
                version=__version__,
                addresses=", ".join(map(str, self.server.bound)),
                sockets=self._discovery.socket_place or "none",
            )
            if self._web_config is not None:
                self._watching = asyncio.create_task(self._web_config.watch())
            await self._keep_up()
        finally:
            for task in (*self._reloads, *filter(None, [self._watching])):
                task.cancel()
            await asyncio.gather(
                self.server.close(), self._pollers.close(), self._discovery.tasks.close()
            )
            self._analyzer.stop()
            self._state_lock.release()
            for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    def stop(self) -> None:
        """End `run`."""
        self._stopping.set()
        self._wake.set()

    async def reload(self) -> bool:
        """Load the configuration again; False when it can't be used: then the former one stays.

        Unchanged targets are polled without a break. A reload goes on when its caller hangs up.
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
        if self._next_reload is None:
            self._next_reload = asyncio.create_task(self._reload())
            self._reloads.add(self._next_reload)
            self._next_reload.add_done_callback(self._reloads.discard)
        return self._next_reload

    async def _reload(self) -> bool:
        async with self._reloading:
            self._next_reload = None
            try:
                loaded = await _LOADING.run(
                    partial(_load, self._settings, self._state_lock), seconds=LOAD_SECONDS
                )
                discovery = Discovery(loaded.config, self._discovery, self._wake.set)
            except ConfigError as error:
                return self._refuse(error=str(error))
            except TimeoutError:
                return self._refuse(error=_timed_out().message)
            except Exception as error:  # noqa: BLE001 - whatever is in a file, the polls go on
                fault = unforeseen(error)
                return self._refuse(error=fault.error, stack=fault.stack)
            await self._use(loaded, discovery)
        return True

    async def _use(self, loaded: _Loaded, discovery: Discovery) -> None:
        if loaded.lock is not self._state_lock:
            self._state_lock.release()
            self._state_lock = loaded.lock
        self._discovery.tasks.stop()
        self._discovery = discovery
        self._discovery.tasks.start()
        await self._discovery.look()
        self._analyzer.configure(loaded.config)
        self._config_problem, self._config_loaded = None, time.time()
        self._report()
        await self._pollers.follow(self._discovery.targets())
        log.info("configuration loaded")
        _warn(loaded)

    def _refuse(self, error: str, **details: str | None) -> bool:
        self._config_problem = error
        self._report()
        log.error("configuration not loaded, former one stays", error=error, **details)
        return False

    def _report(self) -> None:
        """Show the exporter's own state, and that its loop runs, in analysis and metrics."""
        self._analyzer.tick()
        web_config = self._web_config
        self._analyzer.exporter = replace(
            ExporterStatus.of(self._discovery),
            shard=self._settings.shard,
            config_problem=self._config_problem,
            config_loaded=self._config_loaded,
            has_web_config=web_config is not None,
            web_config_problem=web_config.problem if web_config is not None else None,
        )

    async def _keep_up(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            await self._discovery.look()
            targets = self._discovery.targets()
            await self._pollers.follow(targets)
            self._unpolled.intersection_update(target.id for target in targets)
            self._report()
            with self._analyzer.faults.contained("events"):
                # Beside the loop: it takes milliseconds to compare two analyses, and to free the
                # former.
                await self._events.run(self._log_findings)
            with self._analyzer.faults.contained("garbage"):
                await self._garbage.run(self._collections.collect)
            try:
                async with asyncio.timeout(DISCOVERY_INTERVAL):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _log_findings(self) -> None:
        self._findings.follow(self._analyzer.analysis)


class _Loaded(NamedTuple):
    """A valid configuration, with the lock, the discovery and the warnings of its loading."""

    config: Config
    lock: StateLock
    warnings: tuple[str, ...]


def _load(settings: Settings, held: StateLock) -> _Loaded:
    """Load the configuration and lock its state directory, unless `held` is its lock. Blocks."""
    config = settings.load()
    directory = state_directory(config)
    lock = held if directory == held.directory else StateLock(directory)
    return _Loaded(config, lock, tuple(warnings(config, settings.config_file)))


def _default_addresses(web_config: WebConfigFile | None) -> tuple[Address, ...]:
    """Every interface only where clients must authenticate: pages show names of databases, users
    and call sites.
    """
    if web_config is not None and web_config.current().authenticates:
        return (Address(None, DEFAULT_PORT),)
    log.info(
        "no authentication configured: listening on the loopback only",
        hint="for other hosts set --web.config.file, or --web.listen-address=:10432",
    )
    return (Address("127.0.0.1", DEFAULT_PORT),)


def _timed_out() -> Problem:
    where = ", ".join(files.hung()) or "a file or directory"
    return Problem((), f"timed out after {LOAD_SECONDS:g} s reading {where}")


def _warn(loaded: _Loaded) -> None:
    for sentence in loaded.warnings:
        log.warning(sentence)
