"""Asks one place again and again which addresses it lists, for one application."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import structlog

from pg_pool_exporter.config import AppConfig
from pg_pool_exporter.discovery.address_list import Address, ListError
from pg_pool_exporter.discovery.page_urls import url_of
from pg_pool_exporter.discovery.places import NOTHING, Listing, Place

log = structlog.get_logger(__name__)

MAX_ADDRESSES = 1000
"""Of one place that lists them."""
LOOK_UP_SECONDS = 10.0
"""How long a look-up may take."""
RETRY_SECONDS = 5.0
"""After a look-up that failed, where the interval is longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderStatus:
    """How the last look-up went, and how many targets there are by it."""

    app: str
    mechanism: str
    place: str
    up: bool
    """Whether all of its list is good, and is what holds."""
    targets: int


class Provider:
    """The pages of `app` by what `place` lists, looked up each `interval` seconds.

    `known` is what it listed already when the configuration was loaded anew; `changed` is called
    whenever there are other pages.
    """

    def __init__(
        self,
        app: AppConfig,
        place: Place,
        interval: float,
        known: Listing = NOTHING,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.app = app
        self.place = place
        self.listing = known
        self._interval = interval
        self._changed = changed
        self._worked = False
        self._told: str | None = None
        self._log = log.bind(app=app.name, mechanism=place.mechanism, place=place.name)
        self._pages = _pages(known.addresses, app)

    @property
    def urls(self) -> tuple[str, ...]:
        """Of the pages, each once."""
        return self._pages.urls

    @property
    def status(self) -> ProviderStatus:
        """For metrics."""
        return ProviderStatus(
            app=self.app.name,
            mechanism=self.place.mechanism,
            place=self.place.name,
            up=self._worked and self._told is None,
            targets=len(self.urls),
        )

    async def run(self) -> None:
        """Look up at once and then on schedule, until cancelled."""
        while True:
            await self.refresh()
            wait = self._interval if self._worked else min(self._interval, RETRY_SECONDS)
            await asyncio.sleep(wait)

    async def refresh(self) -> None:
        """Look up once. When that fails the former list stays; the log says so, once."""
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                listing = await self.place.look_up()
        except TimeoutError:
            self._fail(f"could not be had within {LOOK_UP_SECONDS:g} s")
        except ListError as error:
            self._fail(str(error))
        except Exception as error:  # noqa: BLE001 - whatever a list holds, all others go on
            self._fail(f"could not be read: {type(error).__name__}")
        else:
            self._take(listing)

    def _fail(self, problem: str) -> None:
        self._worked = False
        self._tell(problem)

    def _take(self, listing: Listing) -> None:
        self._worked = True
        former = self._pages
        if listing.addresses != self.listing.addresses:
            self._pages = _pages(listing.addresses, self.app)
        self.listing = listing
        self._tell(listing.problem or self._pages.problem)
        if self._pages.urls != former.urls:
            self._log.info("targets found", targets=len(self.urls))
            self._changed()

    def _tell(self, problem: str | None) -> None:
        if problem == self._told:
            return
        self._told = problem
        if problem is None:
            self._log.info("list of targets is well again")
        else:
            self._log.warning("list of targets", error=problem)


class _Pages(NamedTuple):
    """The pages of a list, and what is wrong with those of its addresses that are left out."""

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
