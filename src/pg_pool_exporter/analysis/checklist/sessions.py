"""The servers' sessions: what they do, and for how long."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import wraps

from pg_pool_exporter.analysis.checklist.check import (
    Check,
    causes,
    findings_of,
    no_server,
    of_findings,
    remedies,
    unknown,
)
from pg_pool_exporter.analysis.correlate.sessions import IN_TRANSACTION, AppSessions
from pg_pool_exporter.analysis.findings.finding import Cause, Sign, Verdict
from pg_pool_exporter.analysis.findings.wording import few, number, spell
from pg_pool_exporter.analysis.records.server_view import ServerView
from pg_pool_exporter.analysis.verdicts.judge import Judged

_Point = Callable[[Judged], Check]


def _needs_a_server(point: _Point) -> _Point:
    """The point, unknown without a server."""

    @wraps(point)
    def check(judged: Judged) -> Check:
        if not judged.fleet.servers:
            return unknown(point.__name__, no_server(judged))
        return point(judged)

    return check


def _needs_visible_sessions(point: _Point) -> _Point:
    """The point, unknown instead of fine where the state of some sessions is hidden."""

    @wraps(point)
    def check(judged: Judged) -> Check:
        made = point(judged)
        if made.verdict is Verdict.FINE and findings_of(judged, Cause.SESSIONS_HIDDEN):
            figure = f"{made.figure}, of those whose state is visible"
            return replace(made, verdict=Verdict.UNKNOWN, figure=figure)
        return made

    return check


@_needs_a_server
def sessions(judged: Judged) -> Check:
    """Sessions by state, and whether the state of some is hidden."""
    states: Counter[str] = Counter()
    for server in judged.fleet.servers:
        for group in server.sample.groups.values():
            for state, sample in group.states.items():
                states[state] += sample.sessions
    by_state = (f"{count} {state.replace('_', ' ')}" for state, count in states.most_common())
    findings = findings_of(judged, Cause.SESSIONS_HIDDEN)
    return of_findings("sessions", ", ".join(by_state) or "none", findings)


@_needs_visible_sessions
@_needs_a_server
def old_sessions(judged: Judged) -> Check:
    """The oldest sessions, and connections whose session is gone."""
    servers = judged.fleet.servers
    ages = [
        group.oldest_backend
        for server in servers
        for group in server.sample.groups.values()
        if group.oldest_backend is not None
    ]
    lost = [app for app in judged.fleet.apps if app.lost_sessions]
    return Check(
        name="old_sessions",
        verdict=Verdict.WARNING if lost else Verdict.FINE,
        figure=f"the oldest is {spell(max(ages))} old" if ages else "none",
        evidence=(
            *few(_longest_idle(servers)),
            *few(
                f"{app.key.app} on {app.key.title}: "
                f"{number(app.evidence.missing or 0.0, 'connection', 'connections')} of its pools "
                "without a session"
                for app in lost
            ),
        ),
        remedy=(
            (
                "A firewall, a timeout of the server, or a person ended sessions that a pool still "
                "counts. Have the pool validate connections on checkout."
            ),
        )
        if lost
        else (),
    )


def _longest_idle(servers: Iterable[ServerView]) -> Iterator[str]:
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


@_needs_visible_sessions
@_needs_a_server
def idle_in_transaction(judged: Judged) -> Check:
    """Sessions idle in transaction, those of leaked connections included: what to do about these
    stands with the leak.
    """
    servers = judged.fleet.servers
    ages = [one.sessions.oldest(*IN_TRANSACTION) for one in servers]
    oldest = max((age for age in ages if age is not None), default=None)
    figure = f"{sum(one.sessions.count(*IN_TRANSACTION) for one in servers)} now"
    if oldest is not None:
        figure += f", the longest for {spell(max(0.0, oldest))}"
    findings = findings_of(judged, Cause.IDLE_IN_TRANSACTION)
    leaks = findings_of(judged, Cause.LEAK, sign=Sign.OPEN_TRANSACTION)
    own = of_findings("idle_in_transaction", figure, findings)
    of_leaks = (f"{one.subject}: connections of its leak; see leaks" for one in leaks)
    return replace(
        own,
        verdict=max((own.verdict, *(Verdict(one.severity) for one in leaks))),
        evidence=few([*own.evidence, *of_leaks]),
        causes=causes([*findings, *leaks]),
    )


@_needs_visible_sessions
@_needs_a_server
def lock_waits(judged: Judged) -> Check:
    """Sessions that wait for locks."""
    servers = judged.fleet.servers
    waiting, blocking = (
        sum(getattr(one, name) for one in servers) for name in ("waiting", "blocking")
    )
    return of_findings(
        "lock_waits",
        f"{waiting} waiting, {blocking} blocking",
        findings_of(judged, Cause.LOCK_PILE_UP, sign=Sign.LOCK_WAIT),
    )


@_needs_a_server
def deadlocks(judged: Judged) -> Check:
    """Deadlocks in the last 15 minutes."""
    findings = findings_of(judged, Cause.LOCK_PILE_UP, sign=Sign.DEADLOCK)
    count = sum(server.deadlock_count for server in judged.fleet.servers)
    return Check(
        name="deadlocks",
        verdict=Verdict.WARNING if findings else Verdict.FINE,
        figure=f"{count:g} in the last 15 minutes, as far as watched",
        evidence=few(
            f"server {server.name}, database {database}: {deadlocks:g}"
            for server in judged.fleet.servers
            for database, deadlocks in server.deadlocks.items()
        ),
        remedy=remedies(findings),
        causes=causes(findings),
    )
