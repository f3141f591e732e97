"""Whether a library's own count of a pool's connections agrees with those that exist.

A connection that the library counts and that no longer exists is a slot lost inside the library,
such as by a cancellation at the wrong moment: nobody can return it.
"""

from __future__ import annotations

from collections.abc import Iterable
from weakref import WeakValueDictionary


class Sessions:
    """The connections of a pool that exist, by the objects that stand for them. Keeps none alive.

    By identity, and nothing is set on them: an application's own class may compare by value, have
    no hash, or refuse attributes. `unseen` is how many there were, or were being made, when the
    pool was instrumented.
    """

    def __init__(self, unseen: int = 0) -> None:
        self._seen: WeakValueDictionary[int, object] = WeakValueDictionary()
        self._unseen = unseen
        self.idle_since: dict[int, float] = {}
        """When each was last returned, by its identity; in seconds."""

    def add(self, connection: object) -> bool:
        """Add one that is made; whether it is new."""
        if self._seen.get(id(connection)) is connection:
            return False
        self.idle_since.pop(id(connection), None)  # of a former one at that address
        self._seen[id(connection)] = connection
        return True

    def find(self, connections: Iterable[object]) -> list[object]:
        """Add those that were there before, which become known when they are first idle.

        Returns those that are new.
        """
        new = [connection for connection in connections if self.add(connection)]
        self._unseen = max(0, self._unseen - len(new))
        return new

    def since(self, idle: Iterable[object]) -> list[float | None]:
        """Since when each is idle; None for one that was idle before instrumentation."""
        for gone in self.idle_since.keys() - self._seen.keys():
            self.idle_since.pop(gone, None)
        return [self.idle_since.get(id(connection)) for connection in idle]

    def __len__(self) -> int:
        """Upper bound: one that was never seen may be closed by now."""
        return len(self._seen) + self._unseen


class Lasting:
    """A count that held at every reading for some time.

    A connection between two states is missed by one reading, not by all of them.
    """

    def __init__(self) -> None:
        self._since: list[float] = []  # since when there is at least one, at least two, …

    def read(self, count: int, now: float, seconds: float) -> int:
        """How many of `count`, found `now`, have been there for at least `seconds`."""
        since = self._since[: max(0, count)]
        since += [now] * (count - len(since))
        # Replaced as a whole: readers run in several threads.
        self._since = since
        return sum(now - one >= seconds for one in since)
