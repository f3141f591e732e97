"""Which targets are read, and whether any pool is."""

from __future__ import annotations

from dataclasses import replace

from pg_pool_exporter.analysis.checklist.check import Check, findings_of, of_findings
from pg_pool_exporter.analysis.findings.finding import Cause, Verdict
from pg_pool_exporter.analysis.records.fleet_view import FleetView
from pg_pool_exporter.analysis.verdicts.judge import Judged

_CAUSES = (
    Cause.POSTGRESQL_UNREACHABLE,
    Cause.TARGET_UNREACHABLE,
    Cause.LOGIN_FAILED,
    Cause.LOGINS_HANG,
    Cause.LOG_NOT_UNDERSTOOD,
)
_WITH_POOLS = ("app", "process", "bouncer")


def targets(judged: Judged) -> Check:
    """Targets that answer, those that do not, and whether anything is missing."""
    fleet = judged.fleet
    up = sum(one.health.up for one in fleet.targets)
    point = of_findings(
        "targets",
        f"{up} of {len(fleet.targets)} answer" if fleet.targets else "none",
        findings_of(judged, *_CAUSES),
    )
    if fleet.pools or fleet.bouncer_pools:
        return point
    with_pools = [one for one in fleet.targets if one.key.kind in _WITH_POOLS]
    if not with_pools:
        return _without_applications(point, fleet)
    if any(one.health.up for one in with_pools):
        return replace(
            point,
            verdict=max(point.verdict, Verdict.WARNING),
            figure=f"{point.figure}; no pool is watched",
            evidence=(*point.evidence, "Applications or bouncers answer, and none shows a pool."),
            remedy=(
                *point.remedy,
                "Call instrument(pool) for each pool, or check the format of pages.",
            ),
        )
    return point


def _without_applications(point: Check, fleet: FleetView) -> Check:
    place = fleet.exporter.socket_directory
    if fleet.targets and not place and not fleet.exporter.lists:
        return point  # as configured: servers only
    looked = f"No application has a socket in {place}."
    return replace(
        point,
        verdict=max(point.verdict, Verdict.WARNING),
        figure=f"{point.figure}; no application is watched",
        evidence=(*point.evidence, *((looked,) if place else ())),
        remedy=(
            *point.remedy,
            (
                "Call instrument(pool) in an application that may write into that directory, or "
                "name the same one for both in PG_POOL_EXPORTER_SOCKET_DIR; or list metrics "
                "endpoints under `apps:` in the configuration."
            )
            if place
            else "List metrics endpoints of applications under `apps:` in the configuration.",
        ),
    )
