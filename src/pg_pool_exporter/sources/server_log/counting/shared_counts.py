"""The counts that all parsers of one log share, whatever the formats of its lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from pg_pool_exporter.sources.server_log.counting.coverage import Coverage
from pg_pool_exporter.sources.server_log.counting.events import Event, Tally
from pg_pool_exporter.sources.server_log.counting.sessions import OpenSessions


class SharedCounts:
    """Events by database, sessions that are open, and which lines were understood."""

    def __init__(self, coverage: Coverage) -> None:
        self.coverage = coverage
        self.open_sessions = OpenSessions()
        self.known: frozenset[str] = frozenset()
        """The databases that the server has, as far as they are known."""
        self._tally = Tally()
        self.has_events = False
        """Whether one was ever counted."""

    def add(
        self,
        event: Event,
        databases: Iterable[bytes | None],
        name: Callable[[bytes | None], str | None],
    ) -> None:
        """Count an event for each of these; `name` makes a name from its bytes in the log."""
        for raw, count in Counter(databases).items():
            self._tally[event, name(raw)] += count
            self.has_events = True

    def take_tally(self) -> Tally:
        """The events counted since the last call."""
        tally, self._tally = self._tally, Tally()
        return tally
