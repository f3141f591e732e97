"""The limits from the applications' pools through a bouncer to the server: which gives first. Pure.

Each link compares what may be asked for with what is allowed. In session mode each connection of an
application's pool keeps one of the bouncer's; in other modes more of them than `pool_size` are what
a bouncer is for, so these are not compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import inf
from typing import NamedTuple

from pg_pool_exporter.aggregate import grouped, summed, total
from pg_pool_exporter.analysis.correlate.bouncers import Demand
from pg_pool_exporter.analysis.records.bouncer_view import BouncerPoolView, BouncerView
from pg_pool_exporter.analysis.records.server_view import ServerView
from pg_pool_exporter.model import Behind, BouncerDatabase, BouncerPoolKey, BouncerUser


class Link(NamedTuple):
    """A limit, and what may be asked of it."""

    setting: str
    whose: str
    demand: float
    most: float
    demanded_by: Mapping[str, float]

    def __str__(self) -> str:
        return (
            f"{self.whose} allows {self.most:g} ({self.setting}), and {self.demand:g} connections "
            "may be asked for"
        )

    @property
    def is_short(self) -> bool:
        """Whether more may be asked for than is allowed."""
        return self.demand > self.most

    @property
    def reached_at(self) -> float:
        """Share of the demand at which the limit is reached."""
        return self.most / self.demand if self.demand else inf


def limit_chains(
    bouncers: Iterable[BouncerView],
    servers: Mapping[str, ServerView],
    demands: Iterable[Demand],
) -> Mapping[str, tuple[Link, ...]]:
    """The links of each bouncer, from its clients to its servers; without those that are unknown.

    Of several bouncers that share connections each has what all of them may be asked for, and the
    limits of all of them.
    """
    bouncers, demands = list(bouncers), list(demands)
    behind = _behind(bouncers)
    return {
        one.name: (*_of_clients(one, bouncers, demands), *_of_servers(one, servers, behind))
        for one in bouncers
    }


def _of_clients(
    bouncer: BouncerView, bouncers: Iterable[BouncerView], demands: Iterable[Demand]
) -> Iterator[Link]:
    its = [one for one in demands if bouncer.name in one.bouncers]
    if not its:
        return
    names = {name for one in its for name in one.bouncers}
    for limit in client_limits([one for one in bouncers if one.name in names]):
        asked = ((one.app, one.most) for one in its if limit.is_of(one.database, one.user))
        yield from _link(limit.setting, limit.whose, asked, limit.most)


class ClientLimit(NamedTuple):
    """A limit on the connections that bouncers accept, or serve at once in session mode."""

    setting: str
    whose: str
    most: float
    database: str | None = None
    """None: all of them. As with the user, one that is unknown could be any, and is not bounded."""
    user: str | None = None
    session: frozenset[BouncerPoolKey] | None = None
    """The pools in session mode, where it bounds only these."""

    def is_of(self, database: str, user: str) -> bool:
        """Whether it bounds connections to this database as this user."""
        return (
            self.database in (None, database)
            and self.user in (None, user)
            and (self.session is None or (database, user) in self.session)
        )


def client_limits(bouncers: Iterable[BouncerView]) -> Iterator[ClientLimit]:
    """The known limits of bouncers that share connections: each limit is the sum of theirs."""
    bouncers = sorted(bouncers, key=lambda one: one.name)
    samples = [one.sample for one in bouncers]
    names = ", ".join(one.name for one in bouncers)
    session = grouped(
        (pool.key, pool.max)
        for one in bouncers
        for pool in one.pools
        if pool.sample.mode == "session" and not pool.is_folded
    )
    keys = frozenset(session)
    if (most := total(one.max_clients for one in samples)) is not None:
        yield ClientLimit("max_client_conn", f"bouncer {names}", most)
    for key, sizes in session.items():
        if (most := total(sizes)) is not None:
            yield ClientLimit("pool_size", f"pool {key.database}/{key.user}", most, *key)
    for name in sorted({name for one in samples for name in one.databases}):
        of_database = [one.databases.get(name, BouncerDatabase()) for one in samples]
        yield from _of_kind("db", f"database {name} of {names}", of_database, keys, database=name)
    for name in sorted({name for one in samples for name in one.users}):
        of_user = [one.users.get(name, BouncerUser()) for one in samples]
        yield from _of_kind("user", f"user {name} of {names}", of_user, keys, user=name)


def _of_kind(
    kind: str,
    whose: str,
    its: Sequence[BouncerDatabase | BouncerUser],
    session: frozenset[BouncerPoolKey],
    *,
    database: str | None = None,
    user: str | None = None,
) -> Iterator[ClientLimit]:
    if (most := total(one.max_clients for one in its)) is not None:
        yield ClientLimit(f"max_{kind}_client_connections", whose, most, database, user)
    if (most := total(one.max_connections for one in its)) is not None:
        yield ClientLimit(f"max_{kind}_connections", whose, most, database, user, session)


class _Connections(NamedTuple):
    """The most connections to a server that pools of a bouncer may open."""

    server: str
    database: str
    """Of the server."""
    bouncer: str
    pool: BouncerPoolKey
    most: float | None
    database_most: float | None
    """Of all pools of the bouncer's database together."""
    user_most: float | None
    """Of all pools of the bouncer's user together."""

    @property
    def title(self) -> str:
        """The pool, for people."""
        return f"{self.pool.database}/{self.pool.user} of {self.bouncer}"


def _behind(bouncers: Iterable[BouncerView]) -> list[_Connections]:
    return [
        _connections(bouncer, pool, pool.server)
        for bouncer in bouncers
        for pool in bouncer.pools
        if pool.server is not None and not pool.is_folded
    ]


def _connections(bouncer: BouncerView, pool: BouncerPoolView, server: str) -> _Connections:
    database = bouncer.sample.databases.get(pool.key.database, BouncerDatabase())
    behind = bouncer.sample.behind.get(pool.key.database, Behind())
    user = bouncer.sample.users.get(pool.key.user, BouncerUser())
    limits = pool.max, database.max_connections, user.max_connections
    return _Connections(
        server=server,
        database=behind.database or pool.key.database,
        bouncer=bouncer.name,
        pool=pool.key,
        most=min((one for one in limits if one is not None), default=None),
        database_most=database.max_connections,
        user_most=user.max_connections,
    )


_Asked = list[tuple[str, float | None]]


def _asked(some: Iterable[_Connections]) -> _Asked:
    """What pools may open, each alone or, where a limit that they share is lower, together."""
    some = list(some)
    ways = (
        _together(some, lambda one: (f"database {one.pool.database}", one.database_most)),
        _together(some, lambda one: (f"user {one.pool.user}", one.user_most)),
    )
    return min(ways, key=lambda way: inf if None in dict(way).values() else _total(way))


def _together(
    some: Iterable[_Connections], shared: Callable[[_Connections], tuple[str, float | None]]
) -> _Asked:
    asked: _Asked = []
    for (what, bouncer, limit), its in grouped(
        ((what, one.bouncer, limit), one) for one in some for what, limit in [shared(one)]
    ).items():
        alone = [(one.title, one.most) for one in its]
        unbounded = None in dict(alone).values()
        if limit is not None and (unbounded or _total(alone) > limit):
            asked.append((f"{what} of {bouncer}", limit))
        else:
            asked += alone
    return asked


def _total(asked: _Asked) -> float:
    return sum(most or 0.0 for _, most in asked)


def _of_servers(
    bouncer: BouncerView, servers: Mapping[str, ServerView], behind: Iterable[_Connections]
) -> Iterator[Link]:
    used = {pool.server for pool in bouncer.pools}
    for name in sorted(name for name in used if name is not None):
        server = servers.get(name)
        if server is None:
            continue
        its = [one for one in behind if one.server == name]
        asked = _asked(its)
        if server.pools_max:
            asked.append(("pools without a bouncer", server.pools_max))
        yield from _link("slots", f"server {name}", asked, server.available)
        settings = server.sample.settings
        kinds: tuple[tuple[str, Mapping[str, int], Callable[[_Connections], str]], ...] = (
            ("role", settings.role_limits, lambda one: one.pool.user),
            ("database", settings.database_limits, lambda one: one.database),
        )
        for kind, limits, name_of in kinds:
            for limited, most in limits.items():
                of_it = [one for one in its if name_of(one) == limited]
                if of_it and most >= 0:
                    whose = f"{kind} {limited} on server {name}"
                    yield from _link("CONNECTION LIMIT", whose, _asked(of_it), most)


def _link(
    setting: str,
    whose: str,
    asked: Iterable[tuple[str, float | None]],
    most: float,
) -> Iterator[Link]:
    """The link, where all that is asked for is known."""
    known: list[tuple[str, float]] = []
    for name, each in asked:
        if each is None:
            return
        known.append((name, each))
    if known:
        by_name = summed(known)
        yield Link(setting, whose, sum(by_name.values()), most, by_name)
