"""The clients of bouncers, as the sessions that a server would have without them.

To a pool each of its connections is a session, whatever the bouncer does with it: in any pool mode
it is in the pool or checked out. So what is proven of sessions holds of clients, too.

What a client without connection to the server has not asked for, it does not do. One that has a
connection and no request is in a transaction, but in session mode, where its session decides. For
how long a transaction has lasted only the session shows.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pg_pool_exporter.analysis.correlate.chain import Chain, Holder
from pg_pool_exporter.analysis.correlate.sessions import ServerSessions
from pg_pool_exporter.model import (
    BouncerOrigin,
    BouncerPoolKey,
    BouncerSample,
    ClientKey,
    OpenTransaction,
    SessionGroup,
    SessionKey,
)

_IDLE, _ACTIVE, _IN_TRANSACTION = "idle", "active", "idle_in_transaction"

_NEW = 15.0
"""Seconds since its request for which a connection's session may not have been read yet."""


@dataclass(slots=True)
class _Group:
    ages: dict[str, list[float]] = field(default_factory=dict)
    transactions: dict[str, list[OpenTransaction]] = field(default_factory=dict)

    def add(self, state: str, age: float, transaction: float | None = None) -> None:
        self.ages.setdefault(state, []).append(age)
        if transaction is not None:
            its = OpenTransaction(max(transaction, age), age)
            self.transactions.setdefault(state, []).append(its)

    def frozen(self) -> SessionGroup:
        return SessionGroup(
            ages={state: tuple(sorted(ages, reverse=True)) for state, ages in self.ages.items()},
            transactions={state: tuple(some) for state, some in self.transactions.items()},
        )


class ClientSessions:
    """The clients of one or several bouncers at one moment."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._groups: dict[ClientKey, _Group] = {}
        self._unknown: dict[ClientKey, _Group] = {}

    def add(self, bouncer: BouncerSample, later: float) -> None:
        """Add the clients of a bouncer that was polled `later` seconds after the moment."""
        for pool, sample in bouncer.pools.items():
            for origin, clients in sample.origins.items():
                its = self._groups.setdefault(_key(pool, origin), _Group())
                for age in clients.idle_for:
                    its.add(_IDLE, max(0.0, age - later))
                for age in clients.waiting_for:
                    its.add(_ACTIVE, age, age)
            for holder in self._chain.holders(bouncer, sample):
                hold = holder.hold
                key = _key(pool, BouncerOrigin(hold.application, hold.address, hold.origin_user))
                _add(holder, later, self._groups.setdefault(key, _Group()))
                if holder.backend is None and (hold.silent_for is None or hold.silent_for > _NEW):
                    _add(holder, later, self._unknown.setdefault(key, _Group()))

    @property
    def sessions(self) -> ServerSessions:
        """The clients, whatever they do."""
        return ServerSessions({key: one.frozen() for key, one in self._groups.items()})

    @property
    def of_unknown_work(self) -> ServerSessions:
        """Those that may have a transaction, of which it is unknown since when."""
        return ServerSessions({key: one.frozen() for key, one in self._unknown.items()})


def _key(pool: BouncerPoolKey, origin: BouncerOrigin) -> ClientKey:
    sessions = SessionKey(pool.database, origin.user or pool.user, origin.application)
    return ClientKey(sessions, origin.address)


def _add(holder: Holder, later: float, group: _Group) -> None:
    hold = holder.hold
    began = holder.backend.transaction if holder.backend is not None else None
    idle_for = max(0.0, hold.idle_for - later)
    if hold.request is not None:
        group.add(_ACTIVE, hold.request, began or hold.request)
    elif holder.gives_back or holder.is_in_transaction:
        group.add(_IN_TRANSACTION, idle_for, began or idle_for)
    else:
        group.add(_IDLE, idle_for)
