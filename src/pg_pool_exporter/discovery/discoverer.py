"""The interface of all mechanisms of service discovery."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple, Protocol

from pg_pool_exporter.discovery.address_list import Address


class Listing(NamedTuple):
    """The addresses of one list. Where a part of it is wrong, that part's former addresses stay."""

    addresses: tuple[Address, ...] = ()
    problem: str | None = None
    """The fault of the list, as a predicate."""


NOTHING = Listing()


class Discoverer(Protocol):
    """Reads one list of addresses. Calls of `discover` never overlap."""

    mechanism: ClassVar[str]
    """As in the configuration: `file_sd`, `http_sd`, `dns_sd` or `kubernetes_sd`."""
    key: str
    """Identifies the list among those of its mechanism."""
    name: str
    """The same for labels and logs, without a secret."""

    def take_over(self, former: Any) -> None:
        """Take over the state of `former`, which has the same mechanism and key and has stopped.

        Nothing, where each discovery asks for the whole list again.
        """
        return

    async def discover(self) -> Listing:
        """The current list. Raises `ListError` when it can't be read.

        Cancelling takes effect at once.
        """
        ...
