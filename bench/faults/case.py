"""A fault: how it is provoked, and what must show it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple

from bench.faults.stand import Stand

Provoke = Callable[[Stand], AbstractContextManager[None]]


class Expected(NamedTuple):
    """What must show a fault. Nothing of it: the fault must not harm, all stays well."""

    down: str = ""
    """The start of the name of the target whose poll fails, with its kind: `server main`."""
    reason: str = ""
    """The failure's, in `pg_pool_exporter_poll_failures_total`."""
    series: str = ""
    """What a series that shows it starts with."""
    least: float = 0.0
    """The smallest value of the series that shows it."""
    most: float = 0.0
    """The largest."""
    cause: str = ""
    """Of a finding."""
    check: str = ""
    """A point of the checklist that is no longer fine."""
    log: str = ""
    """A part of a log line's message or error."""
    within: float = 25.0
    """Seconds until all of it shows. Three intervals on a quiet machine; more is for a busy one."""


UNHARMED = Expected()


class Fault(NamedTuple):
    """One fault. The block of `provoke` is the time that it lasts; what it takes away returns."""

    kind: str
    title: str
    provoke: Provoke
    expected: Expected
    peer: bool = False
    """Whether it concerns postgres_exporter too."""
    needs: str = ""
    """`bouncer`, `clock` or `device`, where they are not on every machine."""


FAULTS: list[Fault] = []
"""All of them, in the order of the document."""


def fault(
    kind: str, title: str, expected: Expected = UNHARMED, *, peer: bool = False, needs: str = ""
) -> Callable[[Callable[[Stand], Iterator[None]]], None]:
    """Make a generator a case: it provokes, yields, and restores."""

    def register(generator: Callable[[Stand], Iterator[None]]) -> None:
        FAULTS.append(Fault(kind, title, contextmanager(generator), expected, peer, needs))

    return register


def steps(
    kind: str,
    title: str,
    begin: Callable[[Stand], object],
    end: Callable[[Stand], object] | None,
    expected: Expected = UNHARMED,
    *,
    peer: bool = False,
    needs: str = "",
) -> None:
    """A case of two steps; None where the fault is over by itself."""

    def generator(stand: Stand) -> Iterator[None]:
        begin(stand)
        try:
            yield
        finally:
            if end is not None:
                end(stand)

    fault(kind, title, expected, peer=peer, needs=needs)(generator)
