"""An application's sessions among all that a server has."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from operator import neg

from pg_pool_exporter.aggregate import grouped
from pg_pool_exporter.analysis.correlate.addresses import SessionFilter
from pg_pool_exporter.analysis.correlate.pools import KnownPool, Pools
from pg_pool_exporter.model import AppOnServer, ClientKey, OpenTransaction, SessionGroup

IN_TRANSACTION = ("idle_in_transaction", "idle_in_transaction_aborted")
SILENT = ("idle", *IN_TRANSACTION)
"""States in which a session does nothing. SQLAlchemy and psycopg begin transactions by themselves,
so the session of a kept connection is mostly idle in transaction."""
_RUNNING = ("active", "fastpath_function_call")
# A transaction whose statements all came in its first moments (a share of `longer_than`) is one
# that somebody left open.
_MOMENTS = 0.1


class AppSessions:
    """The sessions that may be those of some pools, in whatever groups they are."""

    def __init__(self, groups: Iterable[SessionGroup]) -> None:
        self._groups = tuple(groups)

    @property
    def hidden(self) -> bool:
        """Whether the state of some of them is hidden from the exporter."""
        return any(group.hidden for group in self._groups)

    @property
    def sessions(self) -> int:
        """Number of them, hidden ones included."""
        return sum(group.sessions for group in self._groups)

    @property
    def states(self) -> list[tuple[str, int]]:
        """Number of them by state, the most first."""
        counts: Counter[str] = Counter()
        for group in self._groups:
            counts.update({state: sample.sessions for state, sample in group.states.items()})
        return [(state, count) for state, count in counts.most_common() if count]

    @property
    def running(self) -> int:
        """Those that may run something now: hidden ones count."""
        return self.sessions - self.count(*SILENT)

    def working(self, *, longer_than: float, silent_for: float) -> int:
        """Those that have worked for at least `longer_than` seconds: on one statement, or on those
        of one transaction that follow each other without a break of `silent_for` seconds.
        """
        return self.count(*_RUNNING, longer_than=longer_than) + sum(
            _goes_on(state, one, longer_than, silent_for)
            for group in self._groups
            for state, transactions in group.transactions.items()
            for one in transactions
        )

    def at_work(self, *, silent_for: float) -> int:
        """Those that may run something, or have in their open transaction in the last `silent_for`
        seconds.
        """
        silent = self.count(*IN_TRANSACTION, longer_than=silent_for)
        return self.running + self.count(*IN_TRANSACTION) - silent

    def unended(self, *, longer_than: float) -> Iterator[tuple[str, OpenTransaction]]:
        """The transactions that began at least this long ago, in seconds, with their session's
        state; a statement outside one counts as one.
        """
        return (
            (state, one)
            for group in self._groups
            for state, transactions in group.transactions.items()
            for one in transactions
            if one.age >= longer_than
        )

    def count(self, *states: str, longer_than: float = 0.0) -> int:
        """Those that have been in one of the states for at least `longer_than` seconds."""
        # An age that is negative, after the server's clock was set back, counts as 0.
        return sum(
            bisect_right(group.ages.get(state, ()), -longer_than, key=neg)
            for group in self._groups
            for state in states
        )

    @property
    def oldest_transaction(self) -> float | None:
        """The longest time that a transaction has been open in which nothing runs, in seconds."""
        ages = (one.age for group in self._groups for state in IN_TRANSACTION
                for one in group.transactions.get(state, ()))  # fmt: skip
        return max(ages, default=None)

    @property
    def writers(self) -> int:
        """Those idle in transaction that have changed data, as far as known."""
        return sum(group.writers or 0 for group in self._groups)

    @property
    def oldest_snapshot(self) -> int | None:
        """Age of the oldest snapshot of those idle in transaction, in transactions."""
        ages = (group.oldest_snapshot for group in self._groups)
        return max((age for age in ages if age is not None), default=None)

    @property
    def blocking(self) -> int:
        """The known blockers of others."""
        return sum(group.blocking or 0 for group in self._groups)

    def oldest(self, *states: str) -> float | None:
        """The longest time that a session has been in one of the states, in seconds."""
        ages = (group.ages[state][0] for group in self._groups for state in states
                if group.ages.get(state))  # fmt: skip
        return max(ages, default=None)


def _goes_on(state: str, one: OpenTransaction, longer_than: float, silent_for: float) -> bool:
    """Whether statements of the transaction have followed each other for this long."""
    if one.age < longer_than:
        return False
    if state in _RUNNING:
        return one.state_age < longer_than  # longer ones are counted as statements
    return one.state_age < silent_for and has_worked(one, longer_than)


def has_worked(one: OpenTransaction, longer_than: float) -> bool:
    """Whether statements of a transaction that is silent now followed each other for this long."""
    return one.age - one.state_age >= _MOMENTS * longer_than


class ServerSessions:
    """All sessions of a server, indexed by application name."""

    def __init__(self, sessions: Mapping[ClientKey, SessionGroup]) -> None:
        self._by_application = grouped(
            (key.sessions.application, (key, group)) for key, group in sessions.items()
        )

    def of(self, pools: Iterable[KnownPool]) -> AppSessions:
        """Those that may belong to one of the pools."""
        return AppSessions(group for _, group in self._groups(pools))

    def by_address(self, pools: Iterable[KnownPool]) -> dict[str, AppSessions]:
        """The same by client address."""
        groups = grouped(self._groups(pools))
        return {address: AppSessions(each) for address, each in groups.items()}

    def _groups(self, pools: Iterable[KnownPool]) -> Iterator[tuple[str, SessionGroup]]:
        filters = {pool.sessions for pool in pools if pool.sessions is not None}
        for name in {one.application for one in filters}:
            for key, group in self._by_application.get(name, ()):
                if any(one.match(key.sessions) for one in filters):
                    yield key.address, group


class SharedNames:
    """The sessions that the pools of several applications may have under the same name.

    `apps` are all pools that lead to one server, or the same bouncers, by application.
    """

    def __init__(self, apps: Mapping[AppOnServer, Pools]) -> None:
        # By application_name, then by filter, then by application.
        self._max: dict[str, dict[SessionFilter, dict[AppOnServer, float]]] = {}
        for app, pools in apps.items():
            for pool in pools.values():
                reading = pool.readings.last()
                if reading is not None and pool.sessions is not None:
                    name = pool.sessions.application
                    by_app = self._max.setdefault(name, {}).setdefault(pool.sessions, {})
                    by_app[app] = by_app.get(app, 0.0) + reading.connections_max

    def of_others(self, app: AppOnServer, pools: Iterable[KnownPool]) -> float:
        """Upper bound of other applications' sessions that look like those of `pools`."""
        filters = {pool.sessions for pool in pools if pool.sessions is not None}
        return sum(
            sum(by_app.values()) - by_app.get(app, 0.0)
            for name in self._max.keys() & {one.application for one in filters}
            for other, by_app in self._max[name].items()
            if any(one.overlaps(other) for one in filters)
        )
