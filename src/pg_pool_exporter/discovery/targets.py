"""Which targets there are now: those of the configuration, those that are found by it, and the
sockets in the directory.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from pg_pool_exporter.config import AppConfig, Config, ProcessesConfig
from pg_pool_exporter.discovery.provider import Provider, ProviderStatus
from pg_pool_exporter.discovery.providers import providers
from pg_pool_exporter.discovery.sockets import SocketDirectory
from pg_pool_exporter.sockets import SUFFIX, default_directory
from pg_pool_exporter.sources.base import Source
from pg_pool_exporter.sources.registry import SOURCES, Kind
from pg_pool_exporter.sources.socket_file import SocketFile


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


class Discovery:
    """The targets of a configuration.

    Places that `former` looked at, too, are as it knows them until they have been looked at again.
    `changed` is called whenever other targets are found by looking them up; sockets are seen when
    `targets` is asked.
    """

    def __init__(
        self,
        config: Config,
        former: Discovery | None = None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._configured = (*_servers(config), *_bouncers(config))
        self._apps = config.apps
        known = former._providers if former is not None else ()
        self._providers: tuple[Provider, ...] = tuple(providers(config, known, changed))
        self._pages = _Pages((), ())
        self._tasks: set[asyncio.Task[None]] = set()
        directory = default_directory() if config.socket_dir is None else config.socket_dir
        self._processes = config.processes
        self.socket_directory = Path(directory) if directory else None
        """Where sockets are looked for; it need not be there yet."""
        self._directory = SocketDirectory(self.socket_directory) if self.socket_directory else None

    @property
    def statuses(self) -> tuple[ProviderStatus, ...]:
        """How looking up targets goes, place by place."""
        return tuple(provider.status for provider in self._providers)

    def start(self) -> None:
        """Begin to look up targets, in tasks of their own, until `stop`."""
        self._tasks = {asyncio.create_task(provider.run()) for provider in self._providers}

    async def refresh(self) -> None:
        """Look up all targets once."""
        await asyncio.gather(*(provider.refresh() for provider in self._providers))

    def stop(self) -> None:
        """End all looking up."""
        for task in self._tasks:
            task.cancel()

    async def close(self) -> None:
        """End all looking up, and wait until it has ended."""
        self.stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _found_pages(self) -> tuple[Target, ...]:
        """The pages of all applications, made anew when one of the lists has changed."""
        lists = tuple(provider.urls for provider in self._providers)
        if not self._pages.targets or lists != self._pages.lists:
            self._pages = _Pages(lists, tuple(_pages(self._apps, self._providers)))
        return self._pages.targets

    def targets(self) -> tuple[Target, ...]:
        """All targets that there are now; no two have the same kind and name.

        Cheap enough to be asked each second: it costs a look into the socket directory. A process
        whose socket was made anew is another target than before, although it has the same name.
        """
        sockets = self._directory.scan() if self._directory is not None else []
        return (
            *self._configured,
            *self._found_pages(),
            *(_process(socket, self._processes) for socket in sockets),
        )


class _Pages(NamedTuple):
    """Targets that are pages, and the lists of URLs that they are made from."""

    lists: tuple[tuple[str, ...], ...]
    targets: tuple[Target, ...]


def _servers(config: Config) -> Iterator[Target]:
    # An application that the configuration names keeps its own series on every server.
    protected = frozenset(app.application_name for app in config.apps)
    for server in config.servers:
        settings = (server, protected)
        yield Target("server", server.name, server.interval, server.timeout, settings)


def _bouncers(config: Config) -> Iterator[Target]:
    for bouncer in config.pgbouncers:
        yield Target("bouncer", bouncer.name, bouncer.interval, bouncer.timeout, (bouncer,))


def _pages(apps: Iterable[AppConfig], providers: Iterable[Provider]) -> Iterator[Target]:
    # Without the query, which can hold a token. Pages that differ in it alone are numbered.
    pages: Counter[str] = Counter()
    for app in apps:
        found = (url for provider in providers if provider.app is app for url in provider.urls)
        # One that is listed twice is one page.
        for url in dict.fromkeys((*app.targets, *found)):
            parts = urlsplit(url)
            name = f"{app.name}@{parts.netloc}{parts.path}"
            pages[name] += 1
            if pages[name] > 1:
                name = f"{name}#{pages[name]}"
            yield Target("app", name, app.interval, app.timeout, (url,))


def _process(socket: SocketFile, config: ProcessesConfig) -> Target:
    name = socket.path.name.removesuffix(SUFFIX)
    return Target("process", name, config.interval, config.timeout, (socket,))
