"""Counts by database, kind and reason: from events to `LogCounts`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pg_pool_exporter.metrics.catalogue import REFUSAL_REASONS, SERVER_TIMEOUT_KINDS
from pg_pool_exporter.metrics.limiter import NameLimiter
from pg_pool_exporter.model import LogCounts
from pg_pool_exporter.sources.server_log.counting.events import Tally
from pg_pool_exporter.sources.server_log.format.settings import LogSettings
from pg_pool_exporter.sources.server_log.positions.state import LogState

MOST_DATABASES = 1000
"""Databases with series of their own; others are added up."""
UNKNOWN, OTHER = "unknown", "other"
"""Database of events whose record names none, and of those over the limit."""
_ALWAYS = (UNKNOWN, OTHER)
# Those that end a statement only: ERROR. All others are FATAL.
_ERROR_KINDS = frozenset({"statement", "lock"})

Counts = dict[str, float]


class LogTotals:
    """Counts since the first start of the exporter; `former` are those of earlier runs."""

    def __init__(self, former: LogState | None) -> None:
        self._timeouts: dict[str, Counts] = {}
        self._opened: Counts = {}
        self._closed: Counts = {}
        self._refused: Counts = dict.fromkeys(REFUSAL_REASONS, 0)
        self.read: float = 0
        """Bytes read."""
        self._choice = NameLimiter[str](MOST_DATABASES)
        if former is not None:
            self._timeouts = {name: {**kinds} for name, kinds in former.timeouts.items()}
            self._opened.update(former.opened)
            self._closed.update(former.closed)
            self._refused.update(former.refused)
            self.read = former.read

    def add(
        self,
        tally: Tally,
        databases: Iterable[str] | None,
        now: float,
    ) -> None:
        """Count the events of `tally`.

        `databases` are those that the server has; None: unknown. Other names may be inventions of
        a client: they keep their series only while they appear.
        """
        names = {name or UNKNOWN for event, name in tally if event.family != "refused"}
        held = self._held() if databases is None else databases
        places = self._choice.choose({**dict.fromkeys(names, 0.0), **dict.fromkeys(held, 1.0)}, now)
        for (event, database), count in tally.items():
            if event.family == "refused":
                self._refused[event.value] += count
                continue
            name = database or UNKNOWN
            if name not in places and name not in _ALWAYS:
                name = OTHER
            if event.family == "timeout":
                kinds = self._timeouts.setdefault(name, {})
                kinds[event.value] = kinds.get(event.value, 0) + count
            else:
                counts = self._opened if event.value == "opened" else self._closed
                counts[name] = counts.get(name, 0) + count
        for lost in self._held() - places - set(_ALWAYS):
            self._timeouts.pop(lost, None)
            self._opened.pop(lost, None)
            self._closed.pop(lost, None)

    def counts(self, settings: LogSettings | None, *, by_database: bool, lag: int) -> LogCounts:
        """The counts to show, from 0 for each known database, kind and reason that is logged.

        Without `by_database` the log names no database of an error.
        """
        opened: set[bool | None] = {settings.opened, settings.sessions} if settings else {None}
        closed: set[bool | None] = {settings.closed, settings.sessions} if settings else {None}
        databases = [name for name in (settings.databases if settings else ()) if self._shown(name)]
        names = databases if by_database else [UNKNOWN]
        errors, fatals = self._logged(settings)
        kinds = [
            kind for kind in SERVER_TIMEOUT_KINDS if (errors if kind in _ERROR_KINDS else fatals)
        ]
        return LogCounts(
            timeouts={
                name: {kind: self._timeouts.get(name, {}).get(kind, 0.0) for kind in kinds}
                for name in (dict.fromkeys([*names, *self._timeouts]) if kinds else ())
            },
            opened=_shown(self._opened, databases, opened),
            closed=_shown(self._closed, databases, closed),
            refused=dict(self._refused) if fatals else {},
            read=self.read,
            lag=lag,
        )

    @property
    def is_empty(self) -> bool:
        """Whether nothing was counted yet."""
        return not (self._timeouts or self._opened or self._closed or any(self._refused.values()))

    def state(self, source: str) -> LogState:
        """The counts that a restart needs, without positions."""
        return LogState(
            source=source,
            timeouts=self._timeouts,
            opened=self._opened,
            closed=self._closed,
            refused=self._refused,
            read=self.read,
        )

    def _logged(self, settings: LogSettings | None) -> tuple[bool, bool]:
        """Whether errors of statements are logged, and those that end or refuse a session.

        Where the level is unknown, what was counted shows it.
        """
        if settings is None:
            return True, True
        errors, fatals = settings.errors, settings.fatals
        if errors is None:
            errors = any(_ERROR_KINDS & kinds.keys() for kinds in self._timeouts.values())
        return errors, not self.is_empty if fatals is None else fatals

    def _held(self) -> set[str]:
        return self._timeouts.keys() | self._opened.keys() | self._closed.keys()

    def _shown(self, name: str) -> bool:
        return name in self._choice.names


def _shown(
    counts: Counts, databases: Iterable[str], logged: set[bool | None]
) -> Mapping[str, float] | None:
    """None if one of the settings keeps them out of the log, or is unknown and none was seen."""
    if False in logged or (None in logged and not counts):
        return None
    return {**dict.fromkeys(databases, 0.0), **counts}
