"""What a server lacks of that which the exporter reads: a fork's views may have fewer columns, and
their owner may have revoked rights.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

import structlog

from pg_pool_exporter.sources.connection.errors import NOT_THERE
from pg_pool_exporter.sources.connection.held import HeldConnection, ReadyConnection
from pg_pool_exporter.sources.connection.refusals import RefusalPeriod
from pg_pool_exporter.sources.queries import ACTIVITY_COLUMNS, Batch, batch
from pg_pool_exporter.sources.queries.rows import Session

log = structlog.get_logger(__name__)

# Without it a server's poll fails.
_ESSENTIAL = {"sessions"}
# Columns that a server can do without, by statement.
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "databases": (
        "deadlocks", "sessions", "sessions_abandoned", "sessions_fatal", "sessions_killed",
    ),
    "sessions": tuple(ACTIVITY_COLUMNS),
}  # fmt: skip
_SOURCES: Mapping[str, str] = {
    "databases": "pg_stat_database",
    "lock_waits": "pg_stat_get_lock()",
    "sessions": "pg_stat_get_activity()",
    "snapshots": "pg_stat_get_activity(), pg_get_replication_slots() and pg_prepared_xact()",
    "wait_events": "pg_stat_get_activity()",
    "waits": "pg_lock_status()",
}


class Lacking:
    """Remembers which statements and columns to leave out of the polls of the server `name`.

    Another session tries them again, and so does an hour. `clock` is monotonic, in seconds.
    """

    def __init__(self, name: str, held: HeldConnection, clock: Callable[[], float]) -> None:
        self._held = held
        self._log = log.bind(server=name)
        self._period = RefusalPeriod(clock)
        self._reported: tuple[str, ...] = ()
        self.columns: tuple[str, ...] = ()
        """Columns of pg_stat_database and pg_stat_get_activity()."""
        self.statements: frozenset[str] = frozenset()
        """Names of statements."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What is absent for want of what, a sentence each."""
        return (
            *(
                f"{_SOURCES[name]} has no column {column} that this role may read: its series are "
                "absent"
                for name, columns in _COLUMNS.items()
                for column in columns
                if column in self.columns and name not in self.statements
            ),
            *(
                f"{_SOURCES[name]}: not there, or this role may not read it; its series are absent"
                for name in sorted(self.statements)
            ),
        )

    def follow(self, session: Session) -> None:
        """Try all again in another session, or after an hour."""
        if self._period.begins_anew(session):
            self.columns, self.statements = (), frozenset()

    def present(self, names: Iterable[str]) -> tuple[str, ...]:
        """Those of the statements that the server can execute."""
        return tuple(name for name in names if name not in self.statements)

    async def find(self, names: Collection[str]) -> bool:
        """Try each of these statements in a transaction of its own; whether more is lacking now.

        Raises what `HeldConnection.fetch` does, but none of `NOT_THERE`.
        """
        before = self.columns, self.statements
        for name in self.present(names):
            if name in _SOURCES and not await self._works(name, self.columns):
                await self._leave_out(name)
        return before != (self.columns, self.statements)

    async def _leave_out(self, name: str) -> None:
        columns = _COLUMNS.get(name, ())
        if columns and await self._works(name, columns):
            self.columns += tuple(
                [
                    column
                    for column in columns
                    if not await self._works(name, [one for one in columns if one != column])
                ]
            )
        elif name not in _ESSENTIAL:
            self.statements |= {name}

    async def _works(self, name: str, without: Collection[str]) -> bool:
        def compose(ready: ReadyConnection) -> Batch:
            return batch(
                name, version=ready.version, without=without, abandoned_pids=[], abandoned_starts=[]
            )

        try:
            await self._held.fetch(compose)
        except NOT_THERE:
            return False
        return True

    def report(self) -> None:
        """Log what is lacking, once for each change."""
        notes = self.notes
        for note in notes:
            if note not in self._reported:
                self._log.warning("a part of the server cannot be read", lacking=note)
        self._reported = notes
