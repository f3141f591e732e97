"""What is read at all."""

from __future__ import annotations

from pg_pool_exporter.analysis.analyzer import Diagnosis
from pg_pool_exporter.analysis.checklist.check import Check, Verdict, findings_of, judged
from pg_pool_exporter.analysis.finding import Cause


def targets(diagnosis: Diagnosis) -> Check:
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
    return judged("targets", f"{up} of {len(targets)} answer", findings_of(diagnosis, *causes))
