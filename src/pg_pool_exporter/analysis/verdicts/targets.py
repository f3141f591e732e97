"""What can't be read."""

from __future__ import annotations

from collections.abc import Iterator

from pg_pool_exporter.analysis.finding import Cause, Finding, Severity, Subject
from pg_pool_exporter.analysis.remedies import remedy
from pg_pool_exporter.polling.store import TargetState


def of_target(state: TargetState, now: float) -> Iterator[Finding]:
    """The finding about a target whose last polls have failed.

    A single failure says nothing: what was read before still holds for some intervals.
    """
    health = state.health
    if health.up or not health.polls or now < state.expires:
        return
    server = state.key.kind == "server"
    cause = Cause.POSTGRESQL_UNREACHABLE if server else Cause.TARGET_UNREACHABLE
    summary = "It does not answer, so nothing is known of it now."
    if server and health.reason == "too_many_connections":
        cause = Cause.SERVER_FULL
        summary = "The server is full: it has not even a slot for the exporter."
    yield Finding(
        cause=cause,
        severity=Severity.PROBLEM if server else Severity.WARNING,
        subject=Subject(server=state.key.name) if server else Subject(target=state.key),
        summary=summary,
        figures={"failed_polls": sum(health.failures.values())},
        evidence=(f"The last poll failed ({health.reason}): {health.error}",)
        if health.reason
        else (),
        remedy=remedy(cause),
    )
