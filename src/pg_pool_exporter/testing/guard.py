"""Which connections a test may leave checked out: those of fixtures that outlive it, no others."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from pg_pool_exporter.client.totals import Checkout
from pg_pool_exporter.testing.leaks import (
    LeakError,
    Leaks,
    Moment,
    leaks_since,
    moment,
    settled,
    wait_in_thread,
)
from pg_pool_exporter.testing.watch import Held, Watch


class Guard:
    """Watches all pools of the process over one run of tests.

    `wait` is how many seconds what is being returned by threads may take at the end of a test.
    """

    def __init__(self, wait: float) -> None:
        self._wait = wait
        self._watch = Watch()
        self._watch.instrument_all()
        self._before: Moment | None = None
        self._owners: dict[Hashable, list[Checkout]] = {}
        """By fixture: what it has checked out and keeps."""
        self._ended: dict[Checkout, str] = {}
        """What fixtures that have ended had checked out, and their names."""
        self._names: dict[Hashable, str] = {}

    def begin(self) -> None:
        """A test begins: what is out now is not its own."""
        before = moment(self._watch)
        owned = {one for checkouts in self._owners.values() for one in checkouts}
        # A fixture may end with this test, and must have returned its own by then.
        self._before = replace(before, held=before.held - owned)
        self._ended.clear()

    @contextmanager
    def fixture(self, fixture: Hashable, name: str) -> Iterator[None]:
        """What is checked out in the block belongs to the fixture until it ends."""
        before = moment(self._watch)
        yield
        taken = [one.checkout for one in leaks_since(self._watch, before).held]
        if taken:
            self._names[fixture] = name
            self._owners.setdefault(fixture, []).extend(taken)

    def ended(self, fixture: Hashable) -> None:
        """The fixture has been torn down."""
        name = self._names.pop(fixture, "")
        for checkout in self._owners.pop(fixture, ()):
            self._ended[checkout] = name

    def check(self) -> None:
        """The test has ended: raises `LeakError` for what it has left."""
        __tracebackhide__ = True
        leaks = wait_in_thread(settled(self._look, self._wait))
        if leaks:
            raise LeakError(leaks.text(self._note))

    def _look(self) -> Leaks:
        if self._before is None:  # marked while it ran
            self._before = moment(self._watch)
        leaks = leaks_since(self._watch, self._before)
        owned = {one for checkouts in self._owners.values() for one in checkouts}
        return replace(leaks, held=[one for one in leaks.held if one.checkout not in owned])

    def _note(self, held: Held) -> str:
        name = self._ended.get(held.checkout)
        return "" if name is None else f", by the fixture {name!r}"
