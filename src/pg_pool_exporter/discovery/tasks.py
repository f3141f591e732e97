"""Follows all lists of addresses that a configuration names."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from pg_pool_exporter.config import AppConfig
from pg_pool_exporter.discovery.discoverer import NOTHING, Discoverer
from pg_pool_exporter.discovery.dns_sd import DnsDiscoverer
from pg_pool_exporter.discovery.file_sd import WATCH_SECONDS, FileDiscoverer
from pg_pool_exporter.discovery.http_sd import HttpDiscoverer
from pg_pool_exporter.discovery.kubernetes_sd import PAUSE_SECONDS, KubernetesDiscoverer
from pg_pool_exporter.discovery.task import DiscoveryStatus, DiscoveryTask


class DiscoveryTasks:
    """The discovery tasks of all `apps`.

    Each takes over the list of a `former` one for the same list and application, so that targets
    stay when the list can't be read now. `changed` is called whenever the addresses have changed.
    """

    def __init__(
        self, apps: Iterable[AppConfig], former: DiscoveryTasks | None, changed: Callable[[], None]
    ) -> None:
        known = {} if former is None else {_key(one.app, one.discoverer): one for one in former}
        self._by_app = {app.name: _make(app, known, changed) for app in apps}
        self._tasks: set[asyncio.Task[None]] = set()

    def __iter__(self) -> Iterator[DiscoveryTask]:
        for tasks in self._by_app.values():
            yield from tasks

    @property
    def urls(self) -> dict[str, tuple[str, ...]]:
        """URLs of the pages found now, by application."""
        return {
            name: tuple(url for task in tasks for url in task.urls)
            for name, tasks in self._by_app.items()
        }

    @property
    def statuses(self) -> tuple[DiscoveryStatus, ...]:
        """The status of each task."""
        return tuple(task.status for task in self)

    def start(self) -> None:
        """Start all tasks."""
        self._tasks = {asyncio.create_task(task.run()) for task in self}

    async def refresh(self) -> None:
        """Discover everything once."""
        await asyncio.gather(*(task.refresh() for task in self))

    def stop(self) -> None:
        """Stop all tasks."""
        for task in self._tasks:
            task.cancel()

    async def close(self) -> None:
        """Stop all tasks and wait for their end."""
        self.stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class _Wanted(NamedTuple):
    discoverer: Discoverer
    interval: float


_Key = tuple[str, str, str]


def _make(
    app: AppConfig, known: Mapping[_Key, DiscoveryTask], changed: Callable[[], None]
) -> Sequence[DiscoveryTask]:
    tasks = []
    for discoverer, interval in _wanted(app):
        listing = NOTHING
        if (before := known.get(_key(app, discoverer))) is not None:
            # Not the discoverer itself: its configuration may have changed.
            discoverer.take_over(before.discoverer)
            listing = before.listing
        tasks.append(DiscoveryTask(app, discoverer, interval, listing, changed))
    return tasks


def _wanted(app: AppConfig) -> Iterator[_Wanted]:
    for pattern in app.file_sd:
        yield _Wanted(FileDiscoverer(pattern), WATCH_SECONDS)
    for http in app.http_sd:
        yield _Wanted(HttpDiscoverer(http), http.refresh_interval)
    for dns in app.dns_sd:
        for name in dns.names:
            yield _Wanted(DnsDiscoverer(name, dns.type, dns.port), dns.refresh_interval)
    for pods in app.kubernetes_sd:
        for namespace in pods.namespaces or ("",):
            yield _Wanted(KubernetesDiscoverer(pods, namespace), PAUSE_SECONDS)


def _key(app: AppConfig, discoverer: Discoverer) -> _Key:
    return app.name, discoverer.mechanism, discoverer.key
