"""Targets that can't be read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import inf

from pg_pool_exporter.analysis.findings.finding import Cause, Finding, Severity, Sign, Subject
from pg_pool_exporter.analysis.findings.remedies import remedy, remedy_when_full
from pg_pool_exporter.analysis.records.fleet_view import TargetView

_SUMMARIES = {
    Cause.SERVER_FULL: "No connection is left for the exporter: the server is full.",
    Cause.SERVER_OVERSUBSCRIBED: (
        "No connection is left for the exporter: the pools may open more than the server accepts."
    ),
    Cause.CONNECTION_LIMIT: (
        "No connection is left for the exporter: the CONNECTION LIMIT is reached."
    ),
    Cause.LOG_NOT_UNDERSTOOD: "None of its last lines is understood: its counters are absent.",
    Cause.LOGIN_FAILED: "The exporter can't log in: the present state is unknown.",
}
# Share of lines from which on the format is more likely wrong than other programs talkative.
_MANY = 0.5
_REMEDIES = {
    (Cause.SERVER_OVERSUBSCRIBED, "server"): remedy_when_full(Cause.SERVER_OVERSUBSCRIBED),
    (Cause.TARGET_UNREACHABLE, "log"): (
        "Correct what the reason names: the path, the right to read it, logging_collector."
    ),
    (Cause.TARGET_UNREACHABLE, "process"): (
        "The process has a socket and does not answer: does it hang, or is it stopped (`ps -o "
        "stat`)? A socket without a process is removed automatically."
    ),
    (Cause.LOGIN_FAILED, "app"): (
        "Its metrics page refuses the exporter: correct its `basic_auth` or `bearer_token_file` in "
        "the configuration."
    ),
    (Cause.LOGIN_FAILED, "bouncer"): (
        "Change what the reason names: the password in the bouncer's auth_file, or its "
        "stats_users, which must name the exporter's user."
    ),
    (Cause.TARGET_UNREACHABLE, "bouncer"): (
        "Try psql to its admin console from the exporter's host: does it run and answer?"
    ),
}
"""By cause and kind of the target, where the cause's own does not fit."""
_FAILED = "failed_polls"
_POOLS_MAX = "pools_max_connections"
_SILENT = "It does not answer: its present state is unknown."
_UNREADABLE = "It can't be read: its present state is unknown."


def target_unreachable(target: TargetView) -> Iterator[Finding]:
    """The finding about a target whose last poll has failed.

    A server's first failure counts: its applications suffer now. Other targets count when their
    readings are too old.
    """
    health = target.health
    is_server = target.key.kind == "server"
    cause = _cause(target)
    is_certain = is_server or cause is Cause.LOG_NOT_UNDERSTOOD
    if not target.is_down or (target.is_fresh and not is_certain):
        return
    demand = _demand(target) if cause is Cause.SERVER_OVERSUBSCRIBED else {}
    silent = health.reason in ("timeout", "refused")
    yield Finding(
        cause=cause,
        severity=Severity.PROBLEM if is_server else Severity.WARNING,
        subject=_subject(target),
        summary=_SUMMARIES.get(cause, _SILENT if silent else _UNREADABLE),
        amount=demand.get(_POOLS_MAX, 1.0),
        figures={_FAILED: sum(health.failures.values()), **demand},
        signs=frozenset({Sign.REFUSED}),
        evidence=(f"The last poll failed ({health.reason}): {health.error}",)
        if health.reason
        else (),
        remedy=_REMEDIES.get((cause, target.key.kind)) or remedy(cause),
    )


def _demand(target: TargetView) -> Mapping[str, float]:
    return {"available_connections": target.slots or 0, _POOLS_MAX: target.pools_max or 0.0}


def with_refusals(findings: Sequence[Finding]) -> Iterator[Finding]:
    """The findings; a refused login is evidence of the one about the limit that refused it, and one
    of its own only where there is none.

    Pools that may open more connections than there are slots explain that all are in use.
    """
    used = {_about(one) for one in findings if Sign.IN_USE in one.signs}
    refusals = {
        _about(one): one for one in findings if Sign.REFUSED in one.signs and _about(one) in used
    }
    for one in findings:
        refusal = refusals.get(_about(one))
        if refusal is None:
            yield one
        elif one is not refusal:
            yield replace(
                one,
                severity=max(one.severity, refusal.severity),
                figures={**one.figures, _FAILED: refusal.figures[_FAILED]},
                signs=one.signs | refusal.signs,
                evidence=(*one.evidence, *refusal.evidence),
                remedy=refusal.remedy,
            )


def _about(finding: Finding) -> tuple[bool, Subject]:
    """The slots of a server, or a limit of its databases and roles."""
    cause = finding.cause
    are_slots = cause in (Cause.SERVER_FULL, Cause.SERVER_OVERSUBSCRIBED)
    return are_slots or cause is Cause.CONNECTION_LIMIT, finding.subject


def log_in_part(target: TargetView) -> Iterator[Finding]:
    """The finding about a log many of whose lines are no records."""
    counts = target.log
    if not target.is_fresh or not target.health.up or counts is None:
        return
    if counts.unparsed_ratio is None or counts.unparsed_ratio < _MANY:
        return
    yield Finding(
        cause=Cause.LOG_NOT_UNDERSTOOD,
        severity=Severity.WARNING,
        subject=Subject(target=target.key),
        summary=(
            f"{counts.unparsed_ratio:.0%} of its last lines are no records: its counters are lower "
            "bounds."
        ),
        figures={"unparsed_ratio": counts.unparsed_ratio},
        evidence=(
            f"The shape of one of them (a: letters, 9: digits) is {counts.unparsed_shape!r}.",
            *([f"What to do: {counts.unparsed_advice}."] if counts.unparsed_advice else []),
            "Lines of other programs may be there, too.",
        ),
        remedy=remedy(Cause.LOG_NOT_UNDERSTOOD),
    )


def _subject(target: TargetView) -> Subject:
    key, health = target.key, target.health
    if key.kind != "server":
        return Subject(target=key)
    return Subject(
        server=key.name,
        database=health.limited if health.reason == "database_limit" else "",
        user=health.limited if health.reason == "role_limit" else "",
    )


def _cause(target: TargetView) -> Cause:
    kind, reason = target.key.kind, target.health.reason
    if reason in ("role_limit", "database_limit"):
        return Cause.CONNECTION_LIMIT
    if reason == "not_understood":
        return Cause.LOG_NOT_UNDERSTOOD
    if kind == "server" and reason == "too_many_connections":
        oversubscribed = (target.pools_max or 0.0) > (target.slots or inf)
        return Cause.SERVER_OVERSUBSCRIBED if oversubscribed else Cause.SERVER_FULL
    # Files and sockets of this host need a permission too, and no login.
    if reason == "auth" or (reason == "permission" and kind in ("server", "bouncer")):
        return Cause.LOGIN_FAILED
    return Cause.POSTGRESQL_UNREACHABLE if kind == "server" else Cause.TARGET_UNREACHABLE
