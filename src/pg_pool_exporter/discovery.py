"""Which targets there are now: those of the configuration, and the sockets in the directory."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import structlog

from pg_pool_exporter.config import AppConfig, Config, ProcessesConfig
from pg_pool_exporter.config.page_address import page_address
from pg_pool_exporter.formats import Format
from pg_pool_exporter.sockets import SUFFIX, default_directory
from pg_pool_exporter.sources.app_page import AppPage
from pg_pool_exporter.sources.base import Source
from pg_pool_exporter.sources.origin import Origin
from pg_pool_exporter.sources.registry import SOURCES, Kind
from pg_pool_exporter.sources.socket_file import SocketFile

log = structlog.get_logger(__name__)

MAX_SOCKETS = 1000
# Looking costs time for each entry, whatever it is.
MAX_ENTRIES = 10 * MAX_SOCKETS


@dataclass(frozen=True, slots=True)
class Target:
    """Something that is polled. Equal targets are one and the same, and can go on as they are.

    `kind` and `name` identify it to users: they are the labels of its health.
    """

    kind: Kind
    name: str
    interval: float
    """Seconds from one poll to the next."""
    timeout: float
    """Seconds that a poll may take."""
    settings: tuple[Any, ...] = field(repr=False)
    """What its kind of source is made from; it can hold secrets."""

    def source(self) -> Source:
        """A new source that reads it."""
        return SOURCES[self.kind](*self.settings)


class SocketDirectory:
    """The directory in which instrumented processes put their sockets."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._told: str | None = None

    def scan(self) -> list[SocketFile]:
        """The sockets that are there now, sorted by name, at most `MAX_SOCKETS`.

        A directory that is not there yet has none: the first process makes it. What else keeps
        it from being read, or from being read whole, is told in the log, once.
        """
        try:
            with os.scandir(self._path) as entries:
                names = [entry.name for entry in islice(entries, MAX_ENTRIES + 1)]
        except FileNotFoundError:
            return []
        except OSError as error:
            self._tell(f"can't be read: {error.strerror}")
            return []
        paths = [self._path / name for name in sorted(names[:MAX_ENTRIES]) if _is_name(name)]
        found = [socket for path in paths if (socket := SocketFile.at(path)) is not None]
        if len(names) > MAX_ENTRIES:
            self._tell(f"has more than {MAX_ENTRIES} entries; those beyond are not looked at")
        elif len(found) > MAX_SOCKETS:
            self._tell(f"has more than {MAX_SOCKETS} sockets; those beyond are not read")
        else:
            self._tell(None)
        return found[:MAX_SOCKETS]

    def _tell(self, problem: str | None) -> None:
        if problem != self._told:
            self._told = problem
            if problem is None:
                log.info("socket directory is read whole again", directory=str(self._path))
            else:
                log.warning("socket directory", directory=str(self._path), error=problem)


def _is_name(name: str) -> bool:
    # Hidden ones are not meant to be found; control characters have no place in labels and logs.
    return name.endswith(SUFFIX) and not name.startswith(".") and name.isprintable()


class Discovery:
    """The targets of a configuration."""

    def __init__(self, config: Config) -> None:
        self._configured = (*_servers(config), *_apps(config))
        directory = default_directory() if config.socket_dir is None else config.socket_dir
        self._processes = config.processes
        self.socket_directory = Path(directory) if directory else None
        """Where sockets are looked for; it need not be there yet."""
        self._directory = SocketDirectory(self.socket_directory) if self.socket_directory else None

    def targets(self) -> tuple[Target, ...]:
        """All targets that there are now; no two have the same kind and name.

        Cheap enough to be asked each second: it costs a look into the socket directory. A process
        whose socket was made anew is another target than before, although it has the same name.
        """
        sockets = self._directory.scan() if self._directory is not None else []
        return (*self._configured, *(_process(socket, self._processes) for socket in sockets))


def _servers(config: Config) -> Iterator[Target]:
    # An application that the configuration names keeps its own series on every server.
    protected = frozenset(app.application_name for app in config.apps)
    for server in config.servers:
        settings = (server, protected)
        yield Target("server", server.name, server.interval, server.timeout, settings)


def _apps(config: Config) -> Iterator[Target]:
    formats = {form.name: form.format for form in config.formats}
    for app in config.apps:
        yield from app_targets(app, app.targets, formats)


def app_targets(
    app: AppConfig, targets: Iterable[str], formats: Mapping[str, Format]
) -> Iterator[Target]:
    """The targets of an application whose pages are at these addresses.

    `formats` are those of the configuration, by name.
    """
    addresses = [page_address(target) for target in targets]
    hosts = Counter(address.host for address in addresses)
    # Without the query, which can hold a token. Pages that differ in it alone are numbered.
    pages: Counter[str] = Counter()
    for address in addresses:
        name = address.page
        pages[name] += 1
        if pages[name] > 1:
            name = f"{name}#{pages[name]}"
        origin = Origin(
            app=app.name,
            process=address.host if hosts[address.host] == 1 else name,
            server=app.server or "",
            application=app.application_name,
            max_connections=app.max_connections,
        )
        form = formats.get(app.format, app.format)
        page = AppPage(address, origin, form, app.access)
        yield Target("app", f"{app.name}@{name}", app.interval, app.timeout, (page,))


def _process(socket: SocketFile, config: ProcessesConfig) -> Target:
    name = socket.path.name.removesuffix(SUFFIX)
    return Target("process", name, config.interval, config.timeout, (socket,))
