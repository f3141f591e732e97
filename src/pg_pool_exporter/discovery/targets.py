"""The targets: configured, found by service discovery, and the sockets in the directory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pg_pool_exporter.config import AppConfig, Config, ProcessesConfig, ServerConfig
from pg_pool_exporter.config.page_address import page_address
from pg_pool_exporter.discovery.socket_directory import SocketDirectory
from pg_pool_exporter.discovery.tasks import DiscoveryTasks
from pg_pool_exporter.formats import Format
from pg_pool_exporter.model import TargetId
from pg_pool_exporter.sockets import SUFFIX, default_directory
from pg_pool_exporter.sources.base import Source
from pg_pool_exporter.sources.pages.app_page import AppPage
from pg_pool_exporter.sources.pages.socket_file import SocketFile
from pg_pool_exporter.sources.pages.socket_source import AppOwners
from pg_pool_exporter.sources.pages.target_defaults import TargetDefaults
from pg_pool_exporter.sources.registry import SOURCES
from pg_pool_exporter.sources.server_log.context import ServerLogContext
from pg_pool_exporter.sources.server_log.positions.state import default_state_directory


@dataclass(frozen=True, slots=True)
class Target:
    """Something that is polled. Equal targets are one and the same, and can go on as they are."""

    id: TargetId
    interval: float
    """Seconds from one poll to the next."""
    timeout: float
    """Seconds that a poll may take."""
    settings: tuple[Any, ...] = field(repr=False)
    """The configuration of its source; it can hold secrets."""
    is_local: bool = False
    """Whether it is a process of this machine: then it means this machine by 127.0.0.1."""

    def source(self) -> Source:
        """A new source that reads it."""
        return SOURCES[self.id.kind](*self.settings)


class Discovery:
    """The targets of a configuration.

    Lists that `former` has read too keep its content until they are read again.
    `changed` is called whenever other addresses are found. `look_back` are the bytes at the end of
    a server's log that its first poll reads, too.
    """

    def __init__(
        self,
        config: Config,
        former: Discovery | None = None,
        changed: Callable[[], None] = lambda: None,
        look_back: int = 0,
    ) -> None:
        known_contexts = former.log_contexts if former is not None else {}
        # A changed configuration is another server.
        self.log_contexts: Mapping[ServerConfig, ServerLogContext] = {
            server: known_contexts.get(server) or ServerLogContext() for server in config.servers
        }
        """Facts that a server's poll and the reader of its log share."""
        self._configured = (
            *_servers(config, self.log_contexts),
            *_logs(config, self.log_contexts, look_back),
            *_bouncers(config),
        )
        self._config = config
        known = former.tasks if former is not None else None
        self.tasks: DiscoveryTasks = DiscoveryTasks(config.apps, known, changed)
        """The tasks of service discovery; the caller starts them."""
        self._found = self.tasks.urls
        self._pages = (*_pages(self._config, self._found),)
        directory = default_directory() if config.socket_dir is None else config.socket_dir
        self._processes = config.processes
        self._owners: AppOwners = AppOwners() if former is None else former._owners
        self.socket_directory = Path(directory) if directory else None
        """The socket directory, which may not exist yet."""
        self._directory = SocketDirectory(self.socket_directory) if self.socket_directory else None
        if former is not None and former.socket_directory == self.socket_directory:
            self._directory = former._directory

    @property
    def socket_place(self) -> str:
        """The socket directory, its owner, and the exporter's user; empty: none."""
        return self._directory.place if self._directory is not None else ""

    @property
    def socket_problem(self) -> str | None:
        """The fault of the socket directory; None without a problem."""
        return self._directory.problem if self._directory is not None else None

    async def look(self) -> None:
        """Look for the sockets of processes once."""
        if self._directory is not None:
            await self._directory.look()

    def targets(self) -> tuple[Target, ...]:
        """All targets that are known now; no two have the same id.

        A process whose socket was made again is another target than before, although it has the
        same name.
        """
        if (found := self.tasks.urls) != self._found:
            self._found = found
            self._pages = (*_pages(self._config, found),)
        sockets = self._directory.sockets if self._directory is not None else ()
        return (
            *self._configured,
            *self._pages,
            *(_process(socket, self._processes, self._owners) for socket in sockets),
        )


def _servers(
    config: Config, log_contexts: Mapping[ServerConfig, ServerLogContext]
) -> Iterator[Target]:
    # An application that the configuration names keeps its own series on every server.
    protected = frozenset(app.application_name for app in config.apps)
    for server in config.servers:
        settings = (server, protected, log_contexts[server])
        yield Target(TargetId("server", server.name), server.interval, server.timeout, settings)


def _logs(
    config: Config, log_contexts: Mapping[ServerConfig, ServerLogContext], look_back: int
) -> Iterator[Target]:
    # A target of its own, so that a long log never holds up the server's poll.
    for server in config.servers:
        if server.log is not None:
            settings = (server, state_directory(config), log_contexts[server], look_back)
            name = TargetId("log", server.name)
            yield Target(name, server.log.interval, server.log.timeout, settings)


def state_directory(config: Config) -> str:
    """The directory of positions in servers' logs; "" when no log is read, or none are kept."""
    if not any(server.log is not None for server in config.servers):
        return ""
    return default_state_directory() if config.state_dir is None else config.state_dir


def _bouncers(config: Config) -> Iterator[Target]:
    for bouncer in config.pgbouncers:
        name = TargetId("bouncer", bouncer.name)
        yield Target(name, bouncer.interval, bouncer.timeout, (bouncer,))


def _pages(config: Config, found: Mapping[str, Iterable[str]]) -> Iterator[Target]:
    formats = {form.name: form.format for form in config.formats}
    for app in config.apps:
        yield from app_targets(app, (*app.targets, *found[app.name]), formats)


def app_targets(
    app: AppConfig, targets: Iterable[str], formats: Mapping[str, Format]
) -> Iterator[Target]:
    """The targets of an application whose pages are at these addresses.

    An address that is listed twice is one page. `formats` are those of the configuration, by name.
    """
    # Sorted, so that of two spellings of one address always the same one is read.
    addresses = sorted(map(page_address, targets), key=lambda address: address.text)
    form, client = formats.get(app.format, app.format), app.http_client
    for name, address in {address.name: address for address in addresses}.items():
        defaults = TargetDefaults(
            app=app.name,
            process=name,
            server=app.server or "",
            application=app.application_name,
            max_connections=app.max_connections,
        )
        page = AppPage(address, defaults, form, client)
        known_as = TargetId("app", name, app.name)
        yield Target(known_as, app.interval, app.timeout, (page,), address.is_local)


def _process(socket: SocketFile, config: ProcessesConfig, owners: AppOwners) -> Target:
    name = socket.path.name.removesuffix(SUFFIX)
    # A process calls its socket by its application and the slot that it has taken.
    app, _, _slot = name.rpartition("-")
    known_as = TargetId("process", name, app)
    return Target(known_as, config.interval, config.timeout, (socket, owners), is_local=True)
