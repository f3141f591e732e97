"""What a server lacks of that which the exporter reads: a fork's views may have fewer columns, and
their owner may have revoked rights.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

import structlog
from psycopg.sql import Identifier

from pg_pool_exporter.sources.connection.held import HeldConnection, ReadyConnection
from pg_pool_exporter.sources.connection.refusals import NOT_THERE, RefusalPeriod
from pg_pool_exporter.sources.queries import ACTIVITY_COLUMNS, OF_ACTIVITY, Batch, batch

log = structlog.get_logger(__name__)

# Without it a server's poll fails.
_ESSENTIAL = {"sessions"}
# Columns that a server can do without, by statement.
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "databases": (
        "deadlocks", "sessions", "sessions_abandoned", "sessions_fatal", "sessions_killed",
    ),
    **dict.fromkeys(OF_ACTIVITY, tuple(ACTIVITY_COLUMNS)),
}  # fmt: skip
_SOURCES: Mapping[str, str] = {
    "database_limits": "pg_database",
    "databases": "pg_stat_database",
    "lock_waits": "pg_stat_get_lock()",
    "overrides": "pg_db_role_setting",
    "role_limits": "pg_roles",
    "sessions": "pg_stat_get_activity()",
    "settings": "pg_show_all_settings()",
    "snapshots": "pg_stat_get_activity(), pg_get_replication_slots() and pg_prepared_xact()",
    "wait_events": "pg_stat_get_activity()",
    "waits": "pg_lock_status()",
}
# Statements that read less, where another one cannot be executed.
_INSTEAD: Mapping[str, str] = {"databases": "database_names", "settings": "slots"}


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
        self._role = ""

    @property
    def notes(self) -> tuple[str, ...]:
        """What is absent for want of what, a sentence each."""
        return (
            *(
                f"{_SOURCES[name]} has no column {column} that this role may read: its series are "
                "absent"
                for name in ("databases", "sessions")
                for column in _COLUMNS[name]
                if column in self.columns and name not in self.statements
            ),
            *(
                f"{source}: not there, or this role may not read it; its series are absent; "
                f"GRANT {_right(source)} TO {self._role}"
                for source in sorted({_SOURCES[name] for name in self.statements})
            ),
        )

    def follow(self, ready: ReadyConnection) -> None:
        """Try all again in another session, or after an hour."""
        if self._period.begins_anew(ready.session):
            self.columns, self.statements = (), frozenset()
            self._role = Identifier(ready.session.role).as_string()

    def present(self, names: Iterable[str]) -> dict[str, str]:
        """What the server can execute for each of these statements: it, or what reads less."""
        return {
            name: statement
            for name in names
            if (statement := _INSTEAD.get(name) if name in self.statements else name) is not None
        }

    async def find(self, names: Collection[str]) -> bool:
        """Try each of these statements in a transaction of its own; whether more is lacking now.

        Raises what `HeldConnection.fetch` does, but none of `NOT_THERE`.
        """
        before = self.columns, self.statements
        for name in names:
            if name in self.statements or name not in _SOURCES:
                continue
            if not await self._works(name, self.columns):
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
                name,
                version=ready.version,
                without=without,
                abandoned_pids=[],
                abandoned_starts=[],
                limit=1,
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


def _right(source: str) -> str:
    """The right to read one of `_SOURCES`, as GRANT names it."""
    names = source.replace("()", "").replace(" and ", ", ")
    return f"SELECT ON {names}" if names == source else f"EXECUTE ON FUNCTION {names}"
