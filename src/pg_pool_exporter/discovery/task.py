"""Follows one list of addresses for one application."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import structlog

from pg_pool_exporter.config import AppConfig
from pg_pool_exporter.discovery.address_list import Address, ListError
from pg_pool_exporter.discovery.discoverer import NOTHING, Discoverer, Listing
from pg_pool_exporter.discovery.page_urls import url_of

log = structlog.get_logger(__name__)

MAX_ADDRESSES = 1000
"""Of one list."""
DISCOVERY_SECONDS = 10.0
"""Deadline of one discovery."""
RETRY_SECONDS = 5.0
"""Longest wait after a failed discovery."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryStatus:
    """The outcome of the last discovery, and its number of targets."""

    app: str
    mechanism: str
    name: str
    """Of the list (`Discoverer.name`)."""
    up: bool
    """Whether the whole list was read and is valid."""
    targets: int
    problem: str | None = None
    """Why not, as a predicate; None before the first discovery has ended."""


class DiscoveryTask:
    """The pages of `app` that `discoverer` finds, every `interval` seconds.

    `known` is the list before a reload of the configuration; `changed` is called whenever the pages
    have changed.
    """

    def __init__(
        self,
        app: AppConfig,
        discoverer: Discoverer,
        interval: float,
        known: Listing = NOTHING,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.app = app
        self.discoverer = discoverer
        self.listing = known
        self._interval = interval
        self._changed = changed
        self._worked = False
        self._reported: str | None = None
        self._log = log.bind(app=app.name, mechanism=discoverer.mechanism, list=discoverer.name)
        self._pages = _pages(known.addresses, app)

    @property
    def urls(self) -> tuple[str, ...]:
        """URLs of the pages, each once."""
        return self._pages.urls

    @property
    def status(self) -> DiscoveryStatus:
        """How the last attempt went, and how many targets are listed."""
        return DiscoveryStatus(
            app=self.app.name,
            mechanism=self.discoverer.mechanism,
            name=self.discoverer.name,
            up=self._worked and self._reported is None,
            targets=len(self.urls),
            problem=self._reported,
        )

    async def run(self) -> None:
        """Discover at once and then on schedule, until cancelled."""
        while True:
            await self.refresh()
            wait = self._interval if self._worked else min(self._interval, RETRY_SECONDS)
            await asyncio.sleep(wait)

    async def refresh(self) -> None:
        """Discover once. After a failure the former list stays, and the log says so once."""
        try:
            async with asyncio.timeout(DISCOVERY_SECONDS):
                listing = await self.discoverer.discover()
        except TimeoutError:
            self._fail(f"not read within {DISCOVERY_SECONDS:g} s")
        except ListError as error:
            self._fail(str(error))
        except Exception as error:  # noqa: BLE001 - a fault in one list is no fault of others
            self._fail(f"not read: {type(error).__name__}")
        else:
            self._take(listing)

    def _fail(self, problem: str) -> None:
        self._worked = False
        self._report(problem)

    def _take(self, listing: Listing) -> None:
        self._worked = True
        former = self._pages
        if listing.addresses != self.listing.addresses:
            self._pages = _pages(listing.addresses, self.app)
        self.listing = listing
        self._report(listing.problem or self._pages.problem)
        if self._pages.urls != former.urls:
            self._log.info("targets found", targets=len(self.urls))
            self._changed()

    def _report(self, problem: str | None) -> None:
        if problem == self._reported:
            return
        self._reported = problem
        if problem is None:
            self._log.info("target list recovered")
        else:
            self._log.warning("target list failed", error=problem)


class _Pages(NamedTuple):
    """The pages of a list, and the faults of the addresses that are left out."""

    urls: tuple[str, ...]
    problem: str | None


def _pages(addresses: Sequence[Address], app: AppConfig) -> _Pages:
    urls: dict[str, None] = {}
    left_out: list[str] = []
    for address in addresses[:MAX_ADDRESSES]:
        try:
            urls[url_of(address, app)] = None
        except ValueError as error:
            left_out.append(f"{address.at}: {error}")
    left_out += [
        f"{address.at}: is one of more than {MAX_ADDRESSES}"
        for address in addresses[MAX_ADDRESSES:]
    ]
    if not left_out:
        return _Pages(tuple(urls), None)
    return _Pages(tuple(urls), f"has addresses that are left out ({len(left_out)}): {left_out[0]}")
