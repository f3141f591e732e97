"""Limits of a bouncer's connections to servers: its pools' own, and those that several share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from pg_pool_exporter.analysis.findings.finding import Cause, Finding, Severity
from pg_pool_exporter.analysis.findings.remedies import remedy
from pg_pool_exporter.analysis.findings.wording import MOST_NAMED, biggest
from pg_pool_exporter.analysis.records.bouncer_view import BouncerPoolView, BouncerView
from pg_pool_exporter.analysis.records.limit_chain import Link

_MOST_OF = 0.5
"""Share of a limit's connections with which a pool fills it itself."""


class Limit(NamedTuple):
    """A limit of a database or of a user that is reached."""

    setting: str
    whose: str
    connections: float
    most: float
    pools: Mapping[str, float]
    """The pools with the connections; those that are not shown are `others`."""

    def __str__(self) -> str:
        return f"{self.whose} has {self.connections:g} of {self.setting} {self.most:g}"


def is_full(bouncer: BouncerView, pool: BouncerPoolView) -> bool:
    """Whether the pool, its database or its user has all the connections that it may have."""
    size = pool.sample.size
    return size is None or pool.total >= size or shared_limit(bouncer, pool) is not None


def shared_limit(bouncer: BouncerView, pool: BouncerPoolView) -> Limit | None:
    """The limit of the pool's database or user that is reached."""
    database = bouncer.sample.databases.get(pool.key.database)
    if database is not None and _is_reached(database.connections, database.max_connections):
        of_database = (one for one in bouncer.pools if one.key.database == pool.key.database)
        return _limit(
            "max_db_connections", f"database {pool.key.database}",
            database.connections, database.max_connections, of_database,
        )  # fmt: skip
    user = bouncer.sample.users.get(pool.key.user)
    if user is not None and _is_reached(user.connections, user.max_connections):
        of_user = (one for one in bouncer.pools if one.key.user == pool.key.user)
        return _limit(
            "max_user_connections", f"user {pool.key.user}",
            user.connections, user.max_connections, of_user,
        )  # fmt: skip
    return None


def others_reach(bouncer: BouncerView, pool: BouncerPoolView) -> Limit | None:
    """The limit that is reached because other pools have most of its connections."""
    size, limit = pool.sample.size, shared_limit(bouncer, pool)
    if limit is None or (size is not None and pool.total >= size):
        return None
    return limit if pool.total < _MOST_OF * limit.connections else None


def enlarging(bouncer: BouncerView, pool: BouncerPoolView) -> str:
    """The setting that limits the pool, with the statement and the line that change it."""
    database, general = pool.key.database, remedy(Cause.BOUNCER_POOL_TOO_SMALL)
    limit = shared_limit(bouncer, pool)
    if limit is not None and limit.setting == "max_db_connections":
        return (
            f"{general} Its database has reached `max_db_connections`: on the console "
            f"`SET max_db_connections = …`, and in pgbouncer.ini `max_db_connections` of "
            f"[pgbouncer] or of `{database} = …`, then `RELOAD`."
        )
    if limit is not None:
        return (
            f"{general} Its user has reached `max_user_connections`: in pgbouncer.ini, section "
            f"[users], `{pool.key.user} = max_user_connections=…`, then `RELOAD`."
        )
    size = "…" if pool.sample.size is None else f"{2 * pool.sample.size:g}"
    return (
        f"{general} On the console `SET default_pool_size = {size}`, and in pgbouncer.ini "
        f"`default_pool_size = {size}`; where the database has a size of its own, "
        f"`{database} = … pool_size={size}` in section [databases], then `RELOAD`."
    )


def who_has(limit: Limit | None) -> Iterable[str]:
    """A line of evidence about a limit, where one is reached."""
    if limit is not None:
        yield f"{str(limit)[0].upper()}{str(limit)[1:]}: {biggest(limit.pools)}."


def oversubscribed(bouncer: BouncerView, links: Iterable[Link]) -> Iterator[Finding]:
    """The finding about limits that would be exceeded if everything opened all that it may."""
    short = sorted((one for one in links if one.is_short), key=lambda one: one.reached_at)
    if not short:
        return
    first = short[0]
    yield Finding(
        cause=Cause.BOUNCER_LIMITS_OVERSUBSCRIBED,
        severity=Severity.WARNING,
        subject=bouncer.subject,
        summary=f"Limits are oversubscribed; the first to give: {first}.",
        amount=first.demand,
        figures={"connections": first.demand, "max_connections": first.most},
        evidence=(
            f"Asked for by {biggest(first.demanded_by)}.",
            *(f"Likewise: {one}." for one in short[1 : 1 + MOST_NAMED]),
        ),
        remedy=remedy(Cause.BOUNCER_LIMITS_OVERSUBSCRIBED),
    )


def _is_reached(connections: float | None, most: float | None) -> bool:
    return most is not None and (connections or 0.0) >= most


def _limit(
    setting: str,
    whose: str,
    connections: float | None,
    most: float | None,
    pools: Iterable[BouncerPoolView],
) -> Limit:
    counts = {f"{one.key.database}/{one.key.user}": one.total for one in pools}
    connections = connections or 0.0
    left = connections - sum(counts.values())
    if left > 0:
        counts["others"] = left
    return Limit(setting, whose, connections, most or 0.0, counts)
