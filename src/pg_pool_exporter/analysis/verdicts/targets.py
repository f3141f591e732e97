"""Targets that can't be read."""

from __future__ import annotations

from collections.abc import Iterator

from pg_pool_exporter.analysis.finding import Cause, Finding, Severity, Subject
from pg_pool_exporter.analysis.fleet_view import TargetView
from pg_pool_exporter.analysis.remedies import remedy


def target_unreachable(target: TargetView) -> Iterator[Finding]:
    """The finding about a target whose last polls have failed.

    A single failure says nothing: earlier readings still hold for some intervals.
    """
    health = target.health
    if health.up or not health.polls or target.is_fresh:
        return
    is_server = target.key.kind == "server"
    cause = Cause.POSTGRESQL_UNREACHABLE if is_server else Cause.TARGET_UNREACHABLE
    summary = "It does not answer: its present state is unknown."
    if is_server and health.reason == "too_many_connections":
        cause = Cause.SERVER_FULL
        summary = (
            "No connection is left for the exporter: the server or a CONNECTION LIMIT is full."
        )
    yield Finding(
        cause=cause,
        severity=Severity.PROBLEM if is_server else Severity.WARNING,
        subject=Subject(server=target.key.name) if is_server else Subject(target=target.key),
        summary=summary,
        figures={"failed_polls": sum(health.failures.values())},
        evidence=(f"The last poll failed ({health.reason}): {health.error}",)
        if health.reason
        else (),
        remedy=remedy(cause),
    )
