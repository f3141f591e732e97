"""What is wrong on a server: forgotten transactions, locks, too many sessions."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from math import inf

from pg_pool_exporter.analysis.correlate.sessions import IN_TRANSACTION, AppSessions
from pg_pool_exporter.analysis.finding import Cause, Finding, Severity, Subject
from pg_pool_exporter.analysis.fleet_view import IDLE_IN_TRANSACTION_TIMEOUT, Pool, Server
from pg_pool_exporter.analysis.remedies import remedy
from pg_pool_exporter.analysis.wording import MOST_NAMED, biggest, number, spell
from pg_pool_exporter.config import thresholds as limit
from pg_pool_exporter.model import ClientKey, SessionKey


def of_server(server: Server, pools: Sequence[Pool]) -> Iterator[Finding]:
    """The findings about one server. `pools` are all that there are, wherever they lead."""
    yield from _zombies(
        server, [pool for pool in pools if pool.on and pool.on.server == server.name]
    )
    yield from _locks(server)
    yield from _slots(server)
    yield from _limits(server)


def _zombies(server: Server, pools: Sequence[Pool]) -> Iterator[Finding]:
    by_name: dict[str, list[ClientKey]] = {}
    for key in server.sample.sessions:
        by_name.setdefault(key.sessions.application, []).append(key)
    all_overdue = _overdue(pools)
    for name, keys in sorted(by_name.items()):
        sessions = AppSessions(server.sample.sessions[key] for key in keys)
        its = all_overdue[name]
        longest = min(limit.IDLE_IN_TRANSACTION, its.leak_after)
        count = sessions.count(*IN_TRANSACTION, longer_than=longest)
        if not count:
            continue
        oldest = sessions.oldest(*IN_TRANSACTION) or 0.0
        users = sorted({key.sessions.user for key in keys})[:MOST_NAMED]
        evidence = [f"Role {', '.join(users)}; the oldest has done nothing for {spell(oldest)}."]
        timeout = server.sample.settings.timeouts.get(IDLE_IN_TRANSACTION_TIMEOUT)
        if timeout == 0:
            evidence.append(f"{IDLE_IN_TRANSACTION_TIMEOUT} is off on the server.")
        blocking = sum(
            group.blocking or 0
            for key, group in server.sample.groups.items()
            if key.application == name
        )
        if blocking:
            evidence.append("Sessions of this application hold up others that wait for a lock.")
        sites = dict(its.sites.most_common())
        overdue = sum(sites.values())
        if sites:
            told = number(overdue, "connection of its pools is", "connections of its pools are")
            unknown = ", and the server can't tell which of them it is" if overdue > count else ""
            evidence.append(f"{told} overdue{unknown}.")
        yield Finding(
            cause=Cause.IDLE_IN_TRANSACTION,
            severity=Severity.PROBLEM if blocking else Severity.WARNING,
            subject=Subject(app=name, server=server.name),
            summary=(
                f"{number(count, 'transaction is', 'transactions are')} open in which nothing "
                "happens."
            ),
            figures={"sessions": count, "oldest_seconds": oldest},
            evidence=tuple(evidence),
            remedy=remedy(Cause.IDLE_IN_TRANSACTION),
            sites=sites,
            sites_are_certain=len(sites) == 1 or overdue <= count,
        )


class _Overdue:
    """Overdue checkouts of an application's pools. Most forgotten transactions are in one of them,
    but the server can't tell which.
    """

    def __init__(self) -> None:
        self.sites: Counter[str] = Counter()
        self.leak_after = inf
        """The shortest leak threshold of a pool of which one is overdue."""


def _overdue(pools: Iterable[Pool]) -> defaultdict[str, _Overdue]:
    """By the name of the sessions."""
    found: defaultdict[str, _Overdue] = defaultdict(_Overdue)
    for pool in pools:
        for process in pool.processes:
            info = process.sample.info
            if info is not None and process.sample.overdue:
                of_name = found[info.application]
                of_name.sites.update(process.sample.overdue)
                of_name.leak_after = min(of_name.leak_after, pool.leak_after)
    return found


def _locks(server: Server) -> Iterator[Finding]:
    groups = server.sample.groups
    waiting = {key.application: 0 for key in groups}
    blocking = dict(waiting)
    for key, group in groups.items():
        waiting[key.application] += group.waiting or 0
        blocking[key.application] += group.blocking or 0
    count = sum(waiting.values())
    oldest = max((group.oldest_waiting or 0.0 for group in groups.values()), default=0.0)
    deadlocks = sum(server.deadlocks.values())
    is_pile = count >= limit.LOCK_PILE_UP
    if not is_pile and oldest < limit.LOCK_WAIT and not deadlocks:
        return
    evidence = []
    if count:
        evidence.append(f"Waiting: {biggest(waiting)}; the first for {spell(oldest)}.")
    if any(blocking.values()):
        evidence.append(f"In their way: {biggest(blocking)}.")
    if deadlocks:
        evidence.append(
            f"PostgreSQL ended {number(deadlocks, 'deadlock', 'deadlocks')} in the last 15 "
            f"minutes, in database {', '.join(sorted(server.deadlocks)[:MOST_NAMED])}."
        )
    summary = f"{number(count, 'session waits', 'sessions wait')} for a lock."
    if not is_pile and oldest < limit.LOCK_WAIT:
        summary = "Transactions have blocked each other."
    yield Finding(
        cause=Cause.LOCK_PILE_UP,
        severity=Severity.PROBLEM if is_pile else Severity.WARNING,
        subject=Subject(server=server.name),
        summary=summary,
        figures={
            "waiting_sessions": count,
            "oldest_waiting_seconds": oldest,
            "blocking_sessions": sum(blocking.values()),
            "deadlocks": deadlocks,
        },
        evidence=tuple(evidence),
        remedy=remedy(Cause.LOCK_PILE_UP),
    )


def _slots(server: Server) -> Iterator[Finding]:
    used, available = server.sample.used, server.available
    use = used / available if available > 0 else 1.0
    demand = server.demand or 0.0
    oversubscribed = demand > available
    if use <= limit.SERVER_USE and not oversubscribed:
        return
    cause = Cause.SERVER_OVERSUBSCRIBED if oversubscribed else Cause.SERVER_FULL
    evidence = []
    if oversubscribed:
        evidence.append(
            f"All pools that lead here may have {demand:g} connections in all; an ordinary role "
            f"can have {available}."
        )
    if use > limit.SERVER_USE:
        sessions = {key.sessions.application: 0 for key in server.sample.sessions}
        for key, group in server.sample.sessions.items():
            sessions[key.sessions.application] += group.sessions
        evidence.append(f"{used} of {available} slots are taken, most by {biggest(sessions)}.")
    yield Finding(
        cause=cause,
        severity=Severity.PROBLEM if use > limit.SERVER_FULL else Severity.WARNING,
        subject=Subject(server=server.name),
        summary=(
            "The pools may ask for more sessions than the server has."
            if oversubscribed
            else f"The server's slots are taken to {use:.0%}."
        ),
        figures={
            "used_connections": used,
            "available_connections": available,
            **({"demand_connections": demand} if server.demand is not None else {}),
        },
        evidence=tuple(evidence),
        remedy=remedy(cause),
    )


def _limits(server: Server) -> Iterator[Finding]:
    """CONNECTION LIMIT of databases and roles."""
    settings = server.sample.settings
    kinds: tuple[tuple[str, dict[str, int], Callable[[SessionKey], str]], ...] = (
        ("database", dict(settings.database_limits), lambda key: key.database),
        ("role", dict(settings.role_limits), lambda key: key.user),
    )
    for kind, limits, name_of in kinds:
        used: dict[str, int] = {}
        for key, group in server.sample.sessions.items():
            name = name_of(key.sessions)
            used[name] = used.get(name, 0) + group.sessions
        for name, most in limits.items():
            count = used.get(name, 0)
            if most <= 0 or count / most <= limit.SERVER_USE:
                continue
            yield Finding(
                cause=Cause.SERVER_FULL,
                severity=(
                    Severity.PROBLEM if count / most > limit.SERVER_FULL else Severity.WARNING
                ),
                subject=Subject(server=server.name),
                summary=f"The CONNECTION LIMIT of {kind} {name} is taken to {count / most:.0%}.",
                figures={"used_connections": count, "available_connections": most},
                remedy=remedy(Cause.SERVER_FULL),
            )
