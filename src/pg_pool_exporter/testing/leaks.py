"""Fails where connections are left checked out, or were dropped without being returned."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pg_pool_exporter.client.libraries.adapter import django_is_set_up
from pg_pool_exporter.client.tracker import Tracker
from pg_pool_exporter.testing.steps import Steps, do, do_in_loop
from pg_pool_exporter.testing.watch import UNKNOWN_SITE, Dropped, Held, Watch

WAIT_SECONDS = 1.0


class LeakError(AssertionError):
    """Connections were not returned to their pool; the text names the pools and the lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The checked-out and the dropped connections at a moment."""

    held: Mapping[int, Held]
    """By their keys."""
    dropped: Dropped


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaks:
    """The leaks since a moment."""

    held: list[Held]
    dropped: Counter[tuple[str, str]]

    def __bool__(self) -> bool:
        return bool(self.held or self.dropped)

    def text(self, note: Callable[[Held], str] = lambda _: "") -> str:
        """A line each; `note` is added to that of a connection that is checked out."""
        kept = Counter((one.pool, one.site, note(one)) for one in self.held)
        total = kept.total() + self.dropped.total()
        lines = [f"{total} connection{'s were' if total > 1 else ' was'} not returned to the pool:"]
        for (pool, site, more), count in sorted(kept.items()):
            lines.append(f"  {count} of pool {pool!r} checked out at {site}{more}")
        for (pool, site), count in sorted(self.dropped.items()):
            where = "" if site == UNKNOWN_SITE else f", checked out at {site}"
            lines.append(f"  {count} of pool {pool!r} dropped without being returned{where}")
        return "\n".join(lines)


def moment(watch: Watch, trackers: frozenset[Tracker] | None = None) -> Moment:
    """Now, of the given trackers or of all pools."""
    # First, so that one that is dropped meanwhile is in neither.
    dropped = watch.dropped(trackers)
    return Moment(held={one.key: one for one in watch.held(trackers)}, dropped=dropped)


def leaks_since(watch: Watch, before: Moment, trackers: frozenset[Tracker] | None = None) -> Leaks:
    """The connections checked out, and those dropped, since then."""
    by_django = _kept_by_django()
    held = [
        one
        for one in watch.held(trackers)
        if one.key not in before.held and id(one.checkout()) not in by_django
    ]
    dropped = watch.dropped(trackers).since(before.dropped, before.held.values())
    return Leaks(held=held, dropped=dropped)


def _kept_by_django() -> set[int]:
    """The identities of the driver's connections that Django holds for this thread.

    With a pool (`OPTIONS: {"pool": …}`) Django has a connection per thread checked out from its
    first query to the end of a request, and in a test, which has no such end, from test to test.
    """
    module: Any = sys.modules.get("django.db")
    if module is None or not django_is_set_up():
        return set()
    wrappers = module.connections.all(initialized_only=True)
    return {id(one.connection) for one in wrappers if one.connection is not None}


def settled(look: Callable[[], Leaks], seconds: float) -> Steps[Leaks]:
    """Look until no connection is missing, or until the `seconds` are over.

    Returns those missing at the first look and still.
    """
    deadline = time.monotonic() + seconds
    leaks = look()
    suspects = {one.key: one for one in leaks.held}
    while leaks.held and time.monotonic() < deadline:
        yield None
        now = look()
        # Not those checked out since: an application's thread goes on with its own work.
        still = [one for one in now.held if one.key in suspects]
        leaks = Leaks(held=still, dropped=now.dropped)
    return leaks


class _NoLeaks:
    """See `assert_no_leaks`."""

    def __init__(self, pools: Iterable[Any], wait: float) -> None:
        self._pools = list(pools)
        self._wait = wait
        self._trackers: frozenset[Tracker] | None = None

    def __enter__(self) -> None:
        self._watch = Watch()
        if self._pools:
            self._trackers = frozenset(self._watch.instrument(pool) for pool in self._pools)
        else:
            self._watch.instrument_all()
        self._before = moment(self._watch, self._trackers)

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        __tracebackhide__ = True
        try:
            self._judge(do(settled(self._look, self._wait)), error)
        finally:
            self._watch.close()

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        __tracebackhide__ = True
        try:
            self._judge(await do_in_loop(settled(self._look, self._wait)), error)
        finally:
            self._watch.close()

    def _look(self) -> Leaks:
        return leaks_since(self._watch, self._before, self._trackers)

    def _judge(self, leaks: Leaks, error: BaseException | None) -> None:
        __tracebackhide__ = True
        if not leaks:
            return
        if error is None:
            raise LeakError(leaks.text())
        # The block's own error says more about what went wrong.
        error.add_note(leaks.text())


def assert_no_leaks(*pools: Any, wait: float = WAIT_SECONDS) -> _NoLeaks:
    """A block (`with`, or `async with`) that must return all the connections it checks out.

    Of the given pools (or SQLAlchemy engines); without any, of all pools of the process, also of
    those made in the block. Connections checked out before the block don't count, nor those
    declared long-lived. Other threads and tasks have `wait` seconds to return theirs.

    Raises `LeakError` at the end of the block, with the lines that checked the connections out. An
    error of the block goes on instead, with that as a note. Raises `TypeError` for anything but a
    pool that can be measured.
    """
    return _NoLeaks(pools, wait)
