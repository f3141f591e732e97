"""Requests that wait or got no connection, with the findings that explain it, or unexplained."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from pg_pool_exporter.aggregate import grouped
from pg_pool_exporter.analysis.findings.finding import Cause, Finding, Severity, Subject, known
from pg_pool_exporter.analysis.findings.remedies import remedy
from pg_pool_exporter.analysis.findings.wording import number, spell
from pg_pool_exporter.analysis.records.pool_view import PoolView
from pg_pool_exporter.model import PoolInfo

_NO_EXPLANATION = (Cause.UNKNOWN, Cause.POOL_PER_REQUEST)


def explanations(
    pool: PoolView,
    of_servers: Mapping[str, Iterable[Finding]],
    of_bouncers: Mapping[str, Iterable[Finding]],
) -> Sequence[Finding]:
    """The findings for which requests of the pool have to wait: its own, its application's, and
    those in `of_servers` and `of_bouncers`, by name, that hold it up.
    """
    own = [one for one in pool.verdict.all if one.cause not in _NO_EXPLANATION]
    app = pool.app_on_server
    if app is not None:
        own += [one for one in of_servers.get(app.key.server, ()) if _holds_up(one, pool)]
        for name in app.key.bouncers:
            own += [one for one in of_bouncers.get(name, ()) if _keeps_waiting(one, pool)]
    return own


def by_server(findings: Iterable[Finding]) -> Mapping[str, Sequence[Finding]]:
    """Those that are about a server as a whole."""
    subjects = ((one.subject, one) for one in findings)
    return grouped((on.server, one) for on, one in subjects if on.server and not on.app)


def by_bouncer(findings: Iterable[Finding]) -> Mapping[str, Sequence[Finding]]:
    """The problems of bouncers whose cause is known."""
    return grouped(
        (target.name, one)
        for one in findings
        if (target := one.subject.target) is not None
        and target.kind == "bouncer"
        and one.cause is not Cause.UNKNOWN
        and one.severity is Severity.PROBLEM
    )


def unexplained_waiting(pool: PoolView) -> Iterator[Finding]:
    """The finding about a pool whose requests wait or fail for a reason that is not known yet."""
    yield Finding(
        cause=Cause.UNKNOWN,
        severity=Severity.PROBLEM if pool.is_starved else Severity.WARNING,
        subject=pool.subject,
        summary=f"{_symptom(pool)}; why is unknown yet.",
        amount=pool.waiting or pool.failed or 1,
        figures=known(
            waiting_requests=pool.waiting,
            failed_requests=pool.failed,
            utilisation_ratio=pool.utilisation,
        ),
        evidence=tuple(_evidence(pool)),
        remedy=remedy(Cause.UNKNOWN),
    )


def _symptom(pool: PoolView) -> str:
    if pool.waiting:
        wait = number(pool.waiting, "request waits", "requests wait")
        if pool.active is None:
            return wait
        of = f" of {pool.max:g}" if pool.max is not None else ""
        return f"{wait}, and {pool.active:g}{of} connections are checked out"
    if pool.failed:
        failed = number(pool.failed, "request", "requests")
        return f"{failed} got no connection in the last {spell(pool.watched)}"
    return "Requests waited in the last minutes"


def _evidence(pool: PoolView) -> Iterator[str]:
    if pool.waiting and pool.failed:
        failed = number(pool.failed, "request", "requests")
        yield f"{failed} got no connection in the last {spell(pool.watched)}."
    app = pool.app_on_server
    if app is None:
        return
    if app.sessions is None:
        yield f"The state of its sessions on {app.key.title} is unknown now."
        return
    states = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in app.sessions.states)
    yield f"Sessions of {app.key.app} on {app.key.title}: {states or 'none'}."
    if app.disturbed:
        yield "The server did not answer for some time in the last minutes."
    if pool.waited_for_lock:
        yield "Sessions of it waited for a lock in the last minutes."


def _holds_up(finding: Finding, pool: PoolView) -> bool:
    """Whether the finding about the server makes the pool's requests wait."""
    match finding.cause:
        case Cause.LOCK_PILE_UP:
            return pool.waited_for_lock
        case Cause.SERVER_FULL | Cause.SERVER_OVERSUBSCRIBED:
            # A warning is not full yet; a pool that has all it may have needs no more slots.
            return finding.severity is Severity.PROBLEM and any(
                (one.utilisation or 0.0) < 1 for one in pool.processes
            )
        case Cause.CONNECTION_LIMIT:
            return finding.severity is Severity.PROBLEM and any(
                (one.utilisation or 0.0) < 1 and _is_limited(one.sample.info, finding.subject)
                for one in pool.processes
            )
        case Cause.POSTGRESQL_UNREACHABLE | Cause.LOGINS_HANG:
            return True
        case _:
            return False


def _keeps_waiting(finding: Finding, pool: PoolView) -> bool:
    """Whether the finding about the bouncer makes the pool's requests wait."""
    subject, app = finding.subject, pool.app_on_server
    if app is not None and app.longest_bouncer_wait:  # the bouncer may use another role
        subject = replace(subject, user="")
    if not any(_is_limited(one.sample.info, subject) for one in pool.processes):
        return False
    if finding.cause is Cause.BOUNCER_TOO_MANY_CLIENTS:  # a pool that has all needs no more
        return any((one.utilisation or 0.0) < 1 for one in pool.processes)
    return bool(finding.figures.get("waiting_clients"))


def _is_limited(info: PoolInfo | None, subject: Subject) -> bool:
    """Whether the pool's connections are of the role or database; unknown counts as yes."""
    if info is None:
        return True
    return (not subject.database or info.database in ("", subject.database)) and (
        not subject.user or info.user in ("", subject.user)
    )
