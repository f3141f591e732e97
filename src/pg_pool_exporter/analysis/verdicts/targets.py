"""Targets that can't be read."""

from __future__ import annotations

from collections.abc import Iterator

from pg_pool_exporter.analysis.finding import Cause, Finding, Severity, Subject
from pg_pool_exporter.analysis.fleet_view import TargetView
from pg_pool_exporter.analysis.remedies import remedy

_SUMMARIES = {
    Cause.SERVER_FULL: (
        "No connection is left for the exporter: the server or a CONNECTION LIMIT is full."
    ),
    Cause.LOGIN_FAILED: "The exporter can't log in: the present state is unknown.",
}
_SILENT = "It does not answer: its present state is unknown."
_UNREADABLE = "It can't be read: its present state is unknown."


def target_unreachable(target: TargetView) -> Iterator[Finding]:
    """The finding about a target whose last poll has failed.

    A server's first failure counts: whoever needs it suffers now. Of other targets a single one
    says nothing: earlier readings still hold for some intervals.
    """
    health = target.health
    is_server = target.key.kind == "server"
    if health.up or not health.polls or (target.is_fresh and not is_server):
        return
    cause = _cause(target)
    silent = health.reason in ("timeout", "refused")
    yield Finding(
        cause=cause,
        severity=Severity.PROBLEM if is_server else Severity.WARNING,
        subject=Subject(server=target.key.name) if is_server else Subject(target=target.key),
        summary=_SUMMARIES.get(cause, _SILENT if silent else _UNREADABLE),
        figures={"failed_polls": sum(health.failures.values())},
        evidence=(f"The last poll failed ({health.reason}): {health.error}",)
        if health.reason
        else (),
        remedy=remedy(cause),
    )


def _cause(target: TargetView) -> Cause:
    kind, reason = target.key.kind, target.health.reason
    if kind == "server" and reason == "too_many_connections":
        return Cause.SERVER_FULL
    # Files and sockets of this host need a permission too, and no login.
    if reason == "auth" or (reason == "permission" and kind in ("server", "bouncer")):
        return Cause.LOGIN_FAILED
    return Cause.POSTGRESQL_UNREACHABLE if kind == "server" else Cause.TARGET_UNREACHABLE
