"""What the kinds of places that list addresses have in common."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple, Protocol

from pg_pool_exporter.discovery.address_list import Address


class Listing(NamedTuple):
    """What a place lists. Where something is wrong there, the former addresses hold."""

    addresses: tuple[Address, ...] = ()
    problem: str | None = None
    """A predicate about the place, or about what is wrong in it."""


NOTHING = Listing()


class Place(Protocol):
    """A place that lists addresses. Look-ups at one place never overlap."""

    mechanism: ClassVar[str]
    """As in the configuration: `file_sd`, `http_sd` or `dns_sd`."""
    key: str
    """What is looked up: the identity of the place among those of its mechanism."""
    name: str
    """The same for people, without a secret."""

    def take_over(self, former: Any) -> None:
        """Know what `former` knows, which has the same mechanism and key and looks up no more."""
        ...

    async def look_up(self) -> Listing:
        """What is listed now. Raises `ListError` when it can't be told.

        Cancelling takes effect at once.
        """
        ...
