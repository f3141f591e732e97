"""The points about the servers' sessions: what they do, and for how long."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import wraps

from pg_pool_exporter.analysis.analyzer import Diagnosis
from pg_pool_exporter.analysis.checklist.check import (
    Check,
    Verdict,
    few,
    findings_of,
    judged,
    remedies,
    unknown,
)
from pg_pool_exporter.analysis.correlate.sessions import IN_TRANSACTION, AppSessions
from pg_pool_exporter.analysis.finding import Cause
from pg_pool_exporter.analysis.fleet_view import Server
from pg_pool_exporter.analysis.wording import number, spell
from pg_pool_exporter.config import thresholds as limit


def sessions(diagnosis: Diagnosis) -> Check:
    situation = diagnosis.situation
    if not situation.servers:
        return unknown("sessions", "no server")
    states: dict[str, int] = {}
    for server in situation.servers:
        for group in server.sample.groups.values():
            for state, sample in group.states.items():
                states[state] = states.get(state, 0) + sample.sessions
    hidden = [server.name for server in situation.servers if _is_hidden(server)]
    biggest = sorted(states.items(), key=lambda item: -item[1])
    return Check(
        name="sessions",
        verdict=Verdict.WARNING if hidden else Verdict.FINE,
        figure=", ".join(f"{count} {state.replace('_', ' ')}" for state, count in biggest)
        or "none",
        evidence=few(f"server {name}: what some sessions do can't be seen" for name in hidden),
        remedy=("GRANT pg_monitor to the exporter's role.",) if hidden else (),
    )


def _is_hidden(server: Server) -> bool:
    """Whether the exporter's role may not see what some sessions do."""
    return any(group.hidden for group in server.sample.sessions.values())


def _seen(point: Callable[[Diagnosis], Check]) -> Callable[[Diagnosis], Check]:
    """The point, which is not called fine where the sessions that it is about can't be seen."""

    @wraps(point)
    def told(diagnosis: Diagnosis) -> Check:
        check = point(diagnosis)
        if check.verdict is Verdict.FINE and any(map(_is_hidden, diagnosis.situation.servers)):
            figure = f"{check.figure}, of those whose state can be seen"
            return replace(check, verdict=Verdict.UNKNOWN, figure=figure)
        return check

    return told


@_seen
def old_sessions(diagnosis: Diagnosis) -> Check:
    servers = diagnosis.situation.servers
    if not servers:
        return unknown("old_sessions", "no server")
    ages = [
        group.oldest_backend
        for server in servers
        for group in server.sample.groups.values()
        if group.oldest_backend is not None
    ]
    lost = {
        (on.app, on.server): on.missing
        for pool in diagnosis.situation.pools
        if (on := pool.on) is not None and on.missing is not None and on.gone
    }
    return Check(
        name="old_sessions",
        verdict=Verdict.WARNING if lost else Verdict.FINE,
        figure=f"the oldest is {spell(max(ages))} old" if ages else "none",
        evidence=(
            *few(_longest_idle(servers)),
            *few(
                f"{app} on server {server}: "
                f"{number(count, 'connection in its pools has', 'connections in its pools have')} "
                "no session"
                for (app, server), count in lost.items()
            ),
        ),
        remedy=(
            (
                "Something has ended sessions that a pool still counts: a firewall, a time-out of "
                "the server, somebody by hand. Have the pool check a connection before it lends it."
            ),
        )
        if lost
        else (),
    )


def _longest_idle(servers: Iterable[Server]) -> Iterator[str]:
    for server in servers:
        oldest = [
            (age, key.sessions.application)
            for key, group in server.sample.sessions.items()
            if (age := AppSessions([group]).oldest("idle")) is not None
        ]
        if oldest:
            age, application = max(oldest)
            name = application or "no application_name"
            yield f"server {server.name}: idle for longest is {name}, {spell(age)}"


@_seen
def idle_in_transaction(diagnosis: Diagnosis) -> Check:
    servers = diagnosis.situation.servers
    if not servers:
        return unknown("idle_in_transaction", "no server")
    sessions = AppSessions(group for server in servers for group in server.sample.sessions.values())
    oldest = sessions.oldest(*IN_TRANSACTION)
    figure = f"{sessions.count(*IN_TRANSACTION)} now"
    if oldest is not None:
        figure += f", the oldest for {spell(max(0.0, oldest))}"
    return judged("idle_in_transaction", figure, findings_of(diagnosis, Cause.IDLE_IN_TRANSACTION))


@_seen
def lock_waits(diagnosis: Diagnosis) -> Check:
    servers = diagnosis.situation.servers
    if not servers:
        return unknown("lock_waits", "no server")
    groups = [group for server in servers for group in server.sample.groups.values()]
    waiting = sum(group.waiting or 0 for group in groups)
    blocking = sum(group.blocking or 0 for group in groups)
    return judged(
        "lock_waits",
        f"{waiting} wait, {blocking} in their way",
        [
            one
            for one in findings_of(diagnosis, Cause.LOCK_PILE_UP)
            if one.figures["waiting_sessions"] >= limit.LOCK_PILE_UP
            or one.figures["oldest_waiting_seconds"] >= limit.LOCK_WAIT
        ],
    )


def deadlocks(diagnosis: Diagnosis) -> Check:
    servers = diagnosis.situation.servers
    if not servers:
        return unknown("deadlocks", "no server")
    found = [one for one in findings_of(diagnosis, Cause.LOCK_PILE_UP) if one.figures["deadlocks"]]
    count = sum(one.figures["deadlocks"] for one in found)
    return Check(
        name="deadlocks",
        verdict=Verdict.WARNING if found else Verdict.FINE,
        figure=f"{count:g} in the last 15 minutes, as far as watched",
        evidence=few(
            f"server {server.name}, database {database}: {deadlocks:g}"
            for server in servers
            for database, deadlocks in server.deadlocks.items()
        ),
        remedy=remedies(found),
    )
