"""The checklist that an engineer goes through by hand, each point with a verdict. Pure.

What is wrong is what the findings say; the checklist adds what is fine, what can't be told, and the
settings that are missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from math import isfinite

from pg_pool_exporter.derive.sessions import IN_TRANSACTION, AppSessions
from pg_pool_exporter.findings import thresholds as limit
from pg_pool_exporter.findings.diagnosis import Diagnosis
from pg_pool_exporter.findings.finding import Cause, Finding
from pg_pool_exporter.findings.situation import Pool, Server, Situation
from pg_pool_exporter.findings.wording import number, spell

# Of each point, so many lines of evidence are told.
_MOST_TOLD = 10
_OFF = 0.0
_IDLE_IN_TRANSACTION_TIMEOUT = "idle_in_transaction_session_timeout"


class Verdict(IntEnum):
    """How a point of the checklist looks; the higher, the worse."""

    UNKNOWN = -1
    """It can't be told."""
    FINE = 0
    WARNING = 1
    PROBLEM = 2

    @property
    def title(self) -> str:
        """In words."""
        return self.name.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One point of the checklist. All texts are plain; names in them come from outside."""

    name: str
    verdict: Verdict
    figure: str
    evidence: tuple[str, ...] = ()
    remedy: tuple[str, ...] = ()


def checklist(diagnosis: Diagnosis) -> list[Check]:
    """All points, always the same ones in the same order."""
    return [check(diagnosis) for check in _CHECKS]


def _targets(diagnosis: Diagnosis) -> Check:
    targets = diagnosis.situation.targets
    up = sum(one.health.up for one in targets)
    causes = (Cause.POSTGRESQL_UNREACHABLE, Cause.TARGET_UNREACHABLE)
    if not targets:
        return Check(
            name="targets",
            verdict=Verdict.WARNING,
            figure="none",
            remedy=(
                "Name servers and applications in the configuration: there is nothing to see.",
            ),
        )
    return _judged("targets", f"{up} of {len(targets)} answer", _of(diagnosis, *causes))


def _pool_use(diagnosis: Diagnosis) -> Check:
    used = [
        (use, pool)
        for pool in diagnosis.situation.pools
        if (use := pool.fullest.use) is not None and isfinite(use)
    ]
    if not used:
        return _unknown("pool_use", "no pool with a maximum")
    used.sort(key=lambda item: -item[0])
    full = [(use, pool) for use, pool in used if use > limit.POOL_USE]
    suffering = any(use >= 1 and pool.sum("waiting") for use, pool in full)
    verdict = Verdict.PROBLEM if suffering else Verdict.WARNING if full else Verdict.FINE
    most, fullest = used[0]
    return Check(
        name="pool_use",
        verdict=verdict,
        figure=f"at most {most:.0%}, {_pool_name(fullest)}",
        evidence=_few(_use_told(use, pool) for use, pool in full),
        remedy=("The points below say why: leaks, slow holders, or too few.",) if full else (),
    )


def _use_told(use: float, pool: Pool) -> str:
    left = pool.seconds_to_saturation()
    soon = f"; full in {spell(left)} by the trend" if left else ""
    return (
        f"{_pool_name(pool)}: {use:.0%} of its fullest process's connections are checked out, "
        f"{pool.sum('waiting'):g} requests wait{soon}"
    )


def _waiting(diagnosis: Diagnosis) -> Check:
    pools = diagnosis.situation.pools
    if not pools:
        return _unknown("waiting_requests", "no pools")
    waiting = [pool for pool in pools if pool.sum("waiting") >= limit.POOL_WAITING]
    figure = f"{sum(pool.sum('waiting') for pool in pools):g} wait now"
    findings = _of(diagnosis, Cause.POOL_TOO_SMALL, Cause.SLOW_HOLDERS)
    young = [pool for pool in waiting if any(one.recent is None for one in pool.processes)]
    if young and not findings:
        return Check(
            name="waiting_requests",
            verdict=Verdict.WARNING,
            figure=figure,
            evidence=_few(f"{_pool_name(pool)}: {pool.sum('waiting'):g}" for pool in young),
            remedy=("Watch for some minutes to know why, and whether it lasts.",),
        )
    return _judged("waiting_requests", figure, findings)


def _leaks(diagnosis: Diagnosis) -> Check:
    findings = _of(diagnosis, Cause.LEAK)
    pools = diagnosis.situation.pools
    if not pools:
        return _unknown("leaks", "no pools")
    if findings:
        held = sum(
            one.figures.get("held_connections", one.figures.get("unreturned_connections", 0.0))
            for one in findings
        )
        return _judged("leaks", f"{held:g} not given back", findings)
    unproven = [pool for pool in pools if pool.on is None or pool.on.unreturned is None]
    blind = [pool for pool in unproven if not _tells_leaks(pool)]
    suspects = _few(
        f"{_pool_name(pool)}: {pool.on.suspects:g} suspected, not proven"
        for pool in pools
        if pool.on is not None and pool.on.suspects
    )
    return Check(
        name="leaks",
        verdict=Verdict.UNKNOWN if len(blind) == len(pools) else Verdict.FINE,
        figure="nothing known yet" if len(blind) == len(pools) else "none known",
        evidence=(*suspects, *_few(map(_not_proven, unproven))),
    )


def _not_proven(pool: Pool) -> str:
    if pool.on is None:
        return (
            f"{_pool_name(pool)}: which server it leads to is not known, so both sides say nothing"
        )
    return (
        f"{_pool_name(pool)}: both sides prove nothing until they have been read for "
        f"{spell(pool.on.leak_after)}, and every process answers"
    )


def _tells_leaks(pool: Pool) -> bool:
    """Whether the pool's own side tells overdue and lost connections, as our client does."""
    return all(one.sample.leaked is not None for one in pool.processes)


def _sessions(diagnosis: Diagnosis) -> Check:
    situation = diagnosis.situation
    if not situation.servers:
        return _unknown("sessions", "no server")
    states: dict[str, int] = {}
    for server in situation.servers:
        for group in server.sample.groups.values():
            for state, sample in group.states.items():
                states[state] = states.get(state, 0) + sample.sessions
    hidden = [
        server.name
        for server in situation.servers
        if any(group.hidden for group in server.sample.backends.values())
    ]
    biggest = sorted(states.items(), key=lambda item: -item[1])
    return Check(
        name="sessions",
        verdict=Verdict.WARNING if hidden else Verdict.FINE,
        figure=", ".join(f"{count} {state.replace('_', ' ')}" for state, count in biggest)
        or "none",
        evidence=_few(f"server {name}: what some sessions do can't be seen" for name in hidden),
        remedy=("GRANT pg_monitor to the exporter's role.",) if hidden else (),
    )


def _old_sessions(diagnosis: Diagnosis) -> Check:
    servers = diagnosis.situation.servers
    if not servers:
        return _unknown("old_sessions", "no server")
    ages = [
        group.oldest_backend
        for server in servers
        for group in server.sample.groups.values()
        if group.oldest_backend is not None
    ]
    lost = {
        (on.app, on.server): on.missing
        for pool in diagnosis.situation.pools
        if (on := pool.on) is not None
        and on.missing is not None
        and on.missing > sum(pool.by_site("leaked_slots").values())
    }
    return Check(
        name="old_sessions",
        verdict=Verdict.WARNING if lost else Verdict.FINE,
        figure=f"the oldest since {spell(max(ages))}" if ages else "none",
        evidence=(
            *_few(_longest_idle(servers)),
            *_few(
                f"{app} on server {server}: {count:g} connections in its pools have no session"
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
            (age, key.application)
            for key, group in server.sample.backends.items()
            if (age := AppSessions([group]).oldest("idle")) is not None
        ]
        if oldest:
            age, application = max(oldest)
            name = application or "no application_name"
            yield f"server {server.name}: idle for longest is {name}, {spell(age)}"


def _zombies(diagnosis: Diagnosis) -> Check:
    servers = diagnosis.situation.servers
    if not servers:
        return _unknown("idle_in_transaction", "no server")
    sessions = AppSessions(group for server in servers for group in server.sample.backends.values())
    oldest = sessions.oldest(*IN_TRANSACTION)
    figure = f"{sessions.count(*IN_TRANSACTION)} now"
    if oldest is not None:
        figure += f", the oldest for {spell(max(0.0, oldest))}"
    return _judged("idle_in_transaction", figure, _of(diagnosis, Cause.ZOMBIE_TRANSACTIONS))


def _locks(diagnosis: Diagnosis) -> Check:
    servers = diagnosis.situation.servers
    if not servers:
        return _unknown("lock_waits", "no server")
    groups = [group for server in servers for group in server.sample.groups.values()]
    waiting = sum(group.waiting or 0 for group in groups)
    blocking = sum(group.blocking or 0 for group in groups)
    return _judged(
        "lock_waits",
        f"{waiting} wait, {blocking} in their way",
        [
            one
            for one in _of(diagnosis, Cause.LOCK_PILE_UP)
            if one.figures["waiting_sessions"] >= limit.LOCK_PILE_UP
            or one.figures["oldest_waiting_seconds"] >= limit.LOCK_WAIT
        ],
    )


def _deadlocks(diagnosis: Diagnosis) -> Check:
    servers = diagnosis.situation.servers
    if not servers:
        return _unknown("deadlocks", "no server")
    found = [one for one in _of(diagnosis, Cause.LOCK_PILE_UP) if one.figures["deadlocks"]]
    count = sum(one.figures["deadlocks"] for one in found)
    return Check(
        name="deadlocks",
        verdict=Verdict.WARNING if found else Verdict.FINE,
        figure=f"{count:g} in the last 15 minutes, as far as watched",
        evidence=_few(
            f"server {server.name}, database {database}: {deadlocks:g}"
            for server in servers
            for database, deadlocks in server.deadlocks.items()
        ),
        remedy=_remedies(found),
    )


def _timeouts(diagnosis: Diagnosis) -> Check:
    situation = diagnosis.situation
    failed = {
        _pool_name(pool): count
        for pool in situation.pools
        if (count := sum(one.recent.failed for one in pool.processes if one.recent is not None))
    }
    logged = _logged_timeouts(situation)
    if not situation.pools and not logged:
        return _unknown("timeouts", "no pools, and no log is read")
    return Check(
        name="timeouts",
        verdict=Verdict.WARNING if failed else Verdict.FINE,
        figure=f"{sum(failed.values()):g} requests got no connection in the last minutes",
        evidence=(
            *_few(f"{name}: {count:g} requests got none" for name, count in failed.items()),
            *_few(f"{where}, since its log is read: {told}" for where, told in logged.items()),
        ),
        remedy=("Why requests wait, and what to do, is told above.",) if failed else (),
    )


def _logged_timeouts(situation: Situation) -> dict[str, str]:
    """By server, time-outs by kind, where its log is read."""
    logged = {}
    for state in situation.targets:
        if state.snapshot is None or state.snapshot.log is None:
            continue
        kinds: dict[str, float] = {}
        for counts in state.snapshot.log.timeouts.values():
            for kind, count in counts.items():
                kinds[kind] = kinds.get(kind, 0.0) + count
        told = ", ".join(
            f"{count:g} {kind.replace('_', ' ')}" for kind, count in kinds.items() if count
        )
        logged[f"server {state.key.name}"] = told or "none"
    return logged


def _settings(diagnosis: Diagnosis) -> Check:
    servers = diagnosis.situation.servers
    known = [
        (server, server.sample.settings.timeouts[_IDLE_IN_TRANSACTION_TIMEOUT])
        for server in servers
        if _IDLE_IN_TRANSACTION_TIMEOUT in server.sample.settings.timeouts
    ]
    if not known:
        return _unknown("settings", "no server, or its time-outs can't be read")
    missing = [server for server, seconds in known if seconds == _OFF]
    return Check(
        name="settings",
        verdict=Verdict.WARNING if missing else Verdict.FINE,
        figure=f"{len(missing)} missing" if missing else "none missing",
        evidence=_few(map(_missing, missing)),
        remedy=(
            (
                f"ALTER ROLE … SET {_IDLE_IN_TRANSACTION_TIMEOUT} = '5min' for the applications' "
                "roles, or for the whole server with ALTER SYSTEM."
            ),
        )
        if missing
        else (),
    )


def _missing(server: Server) -> str:
    own = sum(
        override.setting == _IDLE_IN_TRANSACTION_TIMEOUT and seconds != _OFF
        for override, seconds in server.sample.settings.overrides.items()
    )
    exceptions = f"; {number(own, 'database or role has', 'databases or roles have')} its own"
    return (
        f"server {server.name}: {_IDLE_IN_TRANSACTION_TIMEOUT} is off, so a forgotten transaction "
        f"stays for ever{exceptions if own else ''}"
    )


def _demand(diagnosis: Diagnosis) -> Check:
    servers = diagnosis.situation.servers
    findings = _of(diagnosis, Cause.SERVER_OVERSUBSCRIBED, Cause.SERVER_FULL)
    if not servers and not findings:
        return _unknown("demand_and_supply", "no server")
    told = (
        f"{server.name}: {server.sample.used} of {server.available} slots taken"
        + (f", pools may ask for {server.demand:g}" if server.demand is not None else "")
        for server in servers
    )
    return _judged("demand_and_supply", "; ".join(_few(told)), findings)


_CHECKS: tuple[Callable[[Diagnosis], Check], ...] = (
    _targets, _pool_use, _waiting, _leaks, _sessions, _old_sessions, _zombies, _locks, _deadlocks,
    _timeouts, _settings, _demand,
)  # fmt: skip


def _of(diagnosis: Diagnosis, *causes: Cause) -> list[Finding]:
    return [one for one in diagnosis.findings if one.cause in causes]


def _judged(name: str, figure: str, findings: Iterable[Finding]) -> Check:
    """A point whose verdict is that of its findings."""
    findings = list(findings)
    worst = max((one.severity for one in findings), default=Verdict.FINE)
    return Check(
        name=name,
        verdict=Verdict(worst),
        figure=figure,
        evidence=_few(_told(one) for one in findings),
        remedy=_remedies(findings),
    )


def _told(finding: Finding) -> str:
    sites = ", ".join(
        f"{site} ({count:g})" for site, count in list(finding.sites.items())[:_MOST_TOLD]
    )
    parts = [f"{finding.subject}: {finding.summary}", *finding.evidence]
    return " ".join([*parts, f"Borrowed at {sites}."] if sites else parts)


def _remedies(findings: Iterable[Finding]) -> tuple[str, ...]:
    return _few(dict.fromkeys(one.remedy for one in findings if one.remedy))


def _few(lines: Iterable[str]) -> tuple[str, ...]:
    """The first, and how many more there are."""
    lines = list(lines)
    more = len(lines) - _MOST_TOLD
    return (*lines[:_MOST_TOLD], f"{more} more") if more > 0 else tuple(lines)


def _unknown(name: str, why: str) -> Check:
    return Check(name=name, verdict=Verdict.UNKNOWN, figure=why)


def _pool_name(pool: Pool) -> str:
    return f"{pool.app}/{pool.pool}"
