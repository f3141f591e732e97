"""A server's sessions: idle in transaction, and too many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from math import ceil

from pg_pool_exporter.aggregate import grouped, summed
from pg_pool_exporter.analysis.correlate.sessions import IN_TRANSACTION, AppSessions
from pg_pool_exporter.analysis.findings.finding import (
    Cause,
    Finding,
    Severity,
    Sign,
    Subject,
    known,
)
from pg_pool_exporter.analysis.findings.recommended import IDLE_IN_TRANSACTION_TIMEOUT
from pg_pool_exporter.analysis.findings.remedies import remedy, remedy_when_full
from pg_pool_exporter.analysis.findings.wording import MOST_NAMED, biggest, number, spell
from pg_pool_exporter.analysis.records.app_view import AppView
from pg_pool_exporter.analysis.records.bouncer_view import BouncerView
from pg_pool_exporter.analysis.records.pool_view import PoolView
from pg_pool_exporter.analysis.records.server_view import ServerView

_LOGIN_SECONDS = 10.0
"""A login that waits for so long hangs."""


def idle_in_transaction(
    server: ServerView,
    apps: Iterable[tuple[AppView, Iterable[PoolView]]],
    bouncers: Iterable[BouncerView] = (),
) -> Iterator[Finding]:
    """The findings about sessions idle in transaction, without those of leaked connections, and
    those that clients of a bouncer keep: these are findings of their own.

    `apps` are the applications whose pools lead there, with these pools.
    """
    leaked = _of_leaks(server, apps) + _of_bouncers(server, bouncers)
    by_name = grouped((key.sessions.application, key) for key in server.sample.sessions)
    for name, keys in sorted(by_name.items()):
        sessions = AppSessions(server.sample.sessions[key] for key in keys)
        longest = server.thresholds.of_sessions(name).idle_in_transaction
        count = sessions.count(*IN_TRANSACTION, longer_than=longest)
        count -= min(count, leaked[name])
        if not count:
            continue
        oldest = sessions.oldest(*IN_TRANSACTION) or 0.0
        users = sorted({key.sessions.user for key in keys})[:MOST_NAMED]
        evidence = [f"Role {', '.join(users)}; the longest for {spell(oldest)}."]
        if server.sample.settings.timeouts.get(IDLE_IN_TRANSACTION_TIMEOUT) == 0:
            evidence.append(f"{IDLE_IN_TRANSACTION_TIMEOUT} is off on the server.")
        if sessions.blocking:
            evidence.append("Sessions of this application block others that wait for a lock.")
        yield Finding(
            cause=Cause.IDLE_IN_TRANSACTION,
            severity=Severity.PROBLEM if sessions.blocking else Severity.WARNING,
            subject=Subject(app=name, server=server.name),
            summary=f"{number(count, 'session is', 'sessions are')} idle in transaction.",
            amount=count,
            figures={"sessions": count, "oldest_seconds": oldest},
            evidence=tuple(evidence),
            remedy=remedy(Cause.IDLE_IN_TRANSACTION),
        )


def _of_leaks(
    server: ServerView, apps: Iterable[tuple[AppView, Iterable[PoolView]]]
) -> Counter[str]:
    """By the name of sessions, how many that are idle in transaction may be of leaked connections:
    these are findings of their own.

    Behind a page that does not report overdue checkouts a leak is a lower bound. Then its evidence
    has all silent transactions, up to the number of connections checked out.
    """
    found: Counter[str] = Counter()
    for app, its_pools in apps:
        pools = list(its_pools)
        leaks = max(app.recent_evidence.unreturned, sum(pool.leak.unreturned for pool in pools))
        if not leaks or app.sessions is None:
            continue
        if not all(pool.all_report_overdue for pool in pools):
            leaks = max(leaks, app.checked_out)
        for name in app.session_names:
            longest = server.thresholds.of_sessions(name).idle_in_transaction
            silent = app.sessions.count(*IN_TRANSACTION, longer_than=longest)
            found[name] += min(silent, ceil(leaks))
    return found


def _of_bouncers(server: ServerView, bouncers: Iterable[BouncerView]) -> Counter[str]:
    """By the name of sessions, how many that are idle in transaction are found at a bouncer."""
    return Counter(
        holder.application
        for bouncer in bouncers
        for pool in bouncer.pools
        for holder in pool.silent_holders
        if holder.server == server.name and holder.is_in_transaction
    )


def hidden_sessions(server: ServerView) -> Iterator[Finding]:
    """The finding about sessions whose state is hidden from the exporter."""
    hidden = server.hidden_sessions
    if not hidden and server.sample.settings.sees_all:
        return
    count = sum(hidden.values())
    evidence = []
    if hidden.get("unknown") or not server.sample.settings.sees_all:
        evidence.append(
            "The exporter's role has no pg_monitor: states of other roles' sessions, transactions "
            "and lock waits are hidden from it."
        )
    if disabled := hidden.get("disabled"):
        has = number(disabled, "session has", "sessions have")
        evidence.append(f"{has} track_activities off.")
    yield Finding(
        cause=Cause.SESSIONS_HIDDEN,
        severity=Severity.WARNING,
        subject=Subject(server=server.name),
        summary=(
            f"The state of {number(count, 'session', 'sessions')} is hidden: leaks, transactions "
            "left open and lock waits of them are unknown."
            if count
            else "The exporter may not see what sessions of other roles do."
        ),
        amount=count or 1,
        figures={"hidden_sessions": count},
        evidence=tuple(evidence),
        remedy=(
            remedy(Cause.SESSIONS_HIDDEN)
            if hidden.keys() != {"disabled"}
            else "Set track_activities = on for the roles and databases of these sessions."
        ),
    )


def logins_hang(server: ServerView) -> Iterator[Finding]:
    """The finding about a server that answers its sessions and accepts no new one."""
    waiting, last = server.sample.login_waiting, server.sample.last_login
    if waiting is None or waiting < _LOGIN_SECONDS:
        return
    yield Finding(
        cause=Cause.LOGINS_HANG,
        severity=Severity.PROBLEM,
        subject=Subject(server=server.name),
        summary=f"It accepts no new session: a login has waited for {spell(waiting)}.",
        figures=known(login_waiting_seconds=waiting, last_login_seconds=last),
        evidence=("Sessions that it has are answered.",),
        remedy=remedy(Cause.LOGINS_HANG),
    )


def slots_of_server(server: ServerView) -> Iterator[Finding]:
    """The findings about a server, database or role whose connections are nearly used up."""
    yield from _slots(server)
    yield from _limits(server)


def _slots(server: ServerView) -> Iterator[Finding]:
    used, available, limit = server.sample.used, server.available, server.thresholds.general
    use = used / available if available > 0 else 1.0
    pools_max = server.pools_max or 0.0
    oversubscribed = pools_max > available
    if use <= limit.server_utilisation and not oversubscribed:
        return
    cause = Cause.SERVER_OVERSUBSCRIBED if oversubscribed else Cause.SERVER_FULL
    evidence = []
    if oversubscribed:
        evidence.append(
            f"All pools that lead here may open {pools_max:g} connections together; ordinary roles "
            f"have {available} slots."
        )
    if use > limit.server_utilisation:
        groups = server.sample.sessions.items()
        sessions = summed((key.sessions.application, group.sessions) for key, group in groups)
        evidence.append(f"{used} of {available} slots are in use, most by {biggest(sessions)}.")
    yield Finding(
        cause=cause,
        severity=Severity.PROBLEM if use > limit.server_full else Severity.WARNING,
        subject=Subject(server=server.name),
        summary=(
            "The pools may open more connections than the server accepts."
            if oversubscribed
            else f"{use:.0%} of the server's slots are in use."
        ),
        amount=max(used, pools_max) if oversubscribed else used,
        figures=known(
            used_connections=used,
            available_connections=available,
            pools_max_connections=server.pools_max,
        ),
        signs=frozenset({Sign.IN_USE}),
        evidence=tuple(evidence),
        remedy=remedy_when_full(cause) if use > limit.server_utilisation else remedy(cause),
    )


def _limits(server: ServerView) -> Iterator[Finding]:
    """CONNECTION LIMIT of databases and roles."""
    settings, limit = server.sample.settings, server.thresholds.general
    for kind, limits in (("database", settings.database_limits), ("user", settings.role_limits)):
        used = summed(
            (getattr(key.sessions, kind), group.sessions)
            for key, group in server.sample.sessions.items()
        )
        for name, most in limits.items():
            count = used.get(name, 0)
            if most <= 0 or count / most <= limit.server_utilisation:
                continue
            yield Finding(
                cause=Cause.CONNECTION_LIMIT,
                severity=(
                    Severity.PROBLEM if count / most > limit.server_full else Severity.WARNING
                ),
                subject=Subject(
                    server=server.name,
                    database=name if kind == "database" else "",
                    user=name if kind == "user" else "",
                ),
                summary=f"{count / most:.0%} of its CONNECTION LIMIT is in use.",
                amount=count,
                figures={"used_connections": count, "available_connections": most},
                signs=frozenset({Sign.IN_USE}),
                remedy=remedy(Cause.CONNECTION_LIMIT),
            )
