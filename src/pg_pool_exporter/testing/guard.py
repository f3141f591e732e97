"""The connections that a test may leave checked out: those of fixtures that outlive it."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from pg_pool_exporter.testing.leaks import (
    Leaks,
    Moment,
    leaks_since,
    moment,
    settled,
)
from pg_pool_exporter.testing.steps import do
from pg_pool_exporter.testing.watch import Held, Watch


class Guard:
    """Watches all pools of the process over one run of tests.

    `wait`: seconds at the end of a test in which threads may still return connections.
    """

    def __init__(self, wait: float) -> None:
        self._wait = wait
        self._watch = Watch()
        self._watch.instrument_all()
        self._before: Moment | None = None
        self._owners: dict[Hashable, list[Held]] = {}
        """By fixture: the connections that it keeps checked out."""
        self._ended: dict[int, str] = {}
        """By key: the fixture that had checked it out, and has ended."""
        self._names: dict[Hashable, str] = {}

    def begin(self) -> None:
        """A test begins: connections checked out now are not its own."""
        before = moment(self._watch)
        # A fixture may end with this test, and must have returned its own by then.
        owned = self._owned()
        held = {key: one for key, one in before.held.items() if key not in owned}
        self._before = replace(before, held=held)
        self._ended.clear()

    @contextmanager
    def fixture(self, fixture: Hashable, name: str) -> Iterator[None]:
        """Connections checked out in the block belong to the fixture until it ends."""
        before = moment(self._watch)
        yield
        taken = leaks_since(self._watch, before).held
        if taken:
            self._names[fixture] = name
            self._owners.setdefault(fixture, []).extend(taken)

    def ended(self, fixture: Hashable) -> None:
        """The fixture has been torn down."""
        name = self._names.pop(fixture, "")
        for one in self._owners.pop(fixture, ()):
            self._ended[one.key] = name

    def leaks(self) -> str:
        """The leaks of the test that has ended, as text; empty without any."""
        leaks = do(settled(self._look, self._wait))
        return leaks.text(self._note) if leaks else ""

    def _look(self) -> Leaks:
        if self._before is None:  # marked while it ran
            self._before = moment(self._watch)
        leaks = leaks_since(self._watch, self._before)
        owned = self._owned()
        return replace(leaks, held=[one for one in leaks.held if one.key not in owned])

    def _owned(self) -> set[int]:
        return {one.key for some in self._owners.values() for one in some}

    def _note(self, held: Held) -> str:
        name = self._ended.get(held.key)
        return "" if name is None else f", by the fixture {name!r}"
