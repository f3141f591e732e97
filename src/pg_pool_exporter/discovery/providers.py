"""All the places that a configuration names, each with a task that looks it up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from pg_pool_exporter.config import AppConfig
from pg_pool_exporter.discovery.dns_sd import DnsPlace
from pg_pool_exporter.discovery.file_sd import WATCH_SECONDS, FilePlace
from pg_pool_exporter.discovery.http_sd import HttpPlace
from pg_pool_exporter.discovery.places import NOTHING, Place
from pg_pool_exporter.discovery.provider import Provider, ProviderStatus


class Providers:
    """The providers of all `apps`.

    What one of the `former` ones knows of the same place for the same application is taken over,
    so that nothing it lists is lost when it can't be looked at now. `changed` is called whenever
    other addresses are found.
    """

    def __init__(
        self, apps: Iterable[AppConfig], former: Providers | None, changed: Callable[[], None]
    ) -> None:
        known = {} if former is None else {_key(one.app, one.place): one for one in former}
        self._by_app = {app.name: _providers(app, known, changed) for app in apps}
        self._tasks: set[asyncio.Task[None]] = set()

    def __iter__(self) -> Iterator[Provider]:
        for providers in self._by_app.values():
            yield from providers

    @property
    def urls(self) -> dict[str, tuple[str, ...]]:
        """What is found now: the URLs of pages, by the name of their application."""
        return {
            name: tuple(url for provider in providers for url in provider.urls)
            for name, providers in self._by_app.items()
        }

    @property
    def statuses(self) -> tuple[ProviderStatus, ...]:
        """How looking up goes, place by place."""
        return tuple(provider.status for provider in self)

    def start(self) -> None:
        """Begin to look up, in tasks of their own, until `stop`."""
        self._tasks = {asyncio.create_task(provider.run()) for provider in self}

    async def refresh(self) -> None:
        """Look up everything once."""
        await asyncio.gather(*(provider.refresh() for provider in self))

    def stop(self) -> None:
        """End all looking up."""
        for task in self._tasks:
            task.cancel()

    async def close(self) -> None:
        """End all looking up, and wait until it has ended."""
        self.stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class _Wanted(NamedTuple):
    place: Place
    interval: float


_Key = tuple[str, str, str]


def _providers(
    app: AppConfig, known: Mapping[_Key, Provider], changed: Callable[[], None]
) -> Sequence[Provider]:
    providers = []
    for place, interval in _wanted(app):
        listing = NOTHING
        if (before := known.get(_key(app, place))) is not None:
            # Not the place itself: it may be asked in another way now.
            place.take_over(before.place)
            listing = before.listing
        providers.append(Provider(app, place, interval, listing, changed))
    return providers


def _wanted(app: AppConfig) -> Iterator[_Wanted]:
    for pattern in app.file_sd:
        yield _Wanted(FilePlace(pattern), WATCH_SECONDS)
    for http in app.http_sd:
        yield _Wanted(HttpPlace(http), http.refresh_interval)
    for dns in app.dns_sd:
        for name in dns.names:
            yield _Wanted(DnsPlace(name, dns.type, dns.port), dns.refresh_interval)


def _key(app: AppConfig, place: Place) -> _Key:
    return app.name, place.mechanism, place.key
