"""Which targets are read at all."""

from __future__ import annotations

from pg_pool_exporter.analysis.checklist.check import Check, findings_of, of_findings
from pg_pool_exporter.analysis.finding import Cause, Verdict
from pg_pool_exporter.analysis.verdicts.judge import Judged


def targets(judged: Judged) -> Check:
    """Targets that answer, and those that do not."""
    targets = judged.fleet.targets
    if not targets:
        return Check(
            name="targets",
            verdict=Verdict.WARNING,
            figure="none",
            remedy=("Name servers and applications in the configuration: nothing is watched.",),
        )
    up = sum(one.health.up for one in targets)
    findings = findings_of(judged, Cause.POSTGRESQL_UNREACHABLE, Cause.TARGET_UNREACHABLE)
    return of_findings("targets", f"{up} of {len(targets)} answer", findings)
