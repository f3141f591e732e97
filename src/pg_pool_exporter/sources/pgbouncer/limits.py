"""Limits of databases (SHOW DATABASES) and of users (SHOW USERS)."""

from __future__ import annotations

from pg_pool_exporter.aggregate import grouped
from pg_pool_exporter.sources.pgbouncer.answers import Answers, Rows, number
from pg_pool_exporter.sources.pgbouncer.dialects import Dialect

_MOST_TEXT = 255


class Limits:
    """The limits that a console shows."""

    def __init__(self, answers: Answers, dialect: Dialect) -> None:
        self._unreliable = dialect.unreliable
        self._repeats = dialect.repeats_user_sizes
        rows = (answers.databases or ()) if dialect.names_databases else ()
        self._rows = grouped((row.get("name") or "", row) for row in rows)
        self._users = answers.users or []
        self._own: dict[str, _OwnSizes] = {}

    @property
    def databases(self) -> set[str]:
        """The names of all databases."""
        return self._rows.keys() - {""}

    def of(self, database: str, *columns: str) -> float | None:
        """The number in one of the columns; None when rows of one database don't agree."""
        found = {
            number(row, column)
            for row in self._rows.get(database, ())
            for column in columns
            if column in row and column not in self._unreliable
        }
        return found.pop() if len(found) == 1 else None

    def text(self, database: str, column: str) -> str:
        """The text in a column; empty when rows of one database don't agree."""
        found = {row.get(column) for row in self._rows.get(database, ())}
        return (found.pop() or "")[:_MOST_TEXT] if len(found) == 1 else ""

    def of_user(self, user: str, column: str, otherwise: float | None) -> float | None:
        """A user's own size, which wins over the database's (from 1.23 on); None: unknown."""
        if column not in self._own:
            self._own[column] = _OwnSizes(self._users, column, repeats=self._repeats)
        return self._own[column].of(user, otherwise)


class _OwnSizes:
    """The sizes that users have of their own.

    PgBouncer 1.23 to 1.25 repeats the size of one user for those after it that have none (issue
    1323 of PgBouncer). So a size that is the same as the one before it may not be the user's. A
    user without a size after one that has one shows that the console has no such fault.
    """

    def __init__(self, users: Rows, column: str, *, repeats: bool) -> None:
        self._sizes: dict[str | None, float] = {}
        self._doubtful: set[str | None] = set()
        former: float | None = None
        for row in users:
            size = number(row, column)
            if size is not None:
                self._sizes[row.get("name")] = size
                if repeats and size == former:
                    self._doubtful.add(row.get("name"))
            elif former is not None:
                repeats = False
                self._doubtful.clear()
            former = size

    def of(self, user: str, otherwise: float | None) -> float | None:
        """The user's own size, or else the other one; None where it is unknown which."""
        own = self._sizes.get(user, otherwise)
        return None if user in self._doubtful and own != otherwise else own
