"""Whether the exporter can use its configuration, directories and lists."""

from __future__ import annotations

from pg_pool_exporter.analysis.checklist.check import Check, findings_of, of_findings
from pg_pool_exporter.analysis.findings.finding import Cause
from pg_pool_exporter.analysis.findings.wording import number
from pg_pool_exporter.analysis.verdicts.judge import Judged


def exporter(judged: Judged) -> Check:
    """Its configuration, its directories, and the target lists."""
    findings = findings_of(judged, Cause.EXPORTER_IMPAIRED)
    problems = sum(one.amount for one in findings)
    figure = number(problems, "fault", "faults") if problems else "no fault of its own"
    return of_findings("exporter", figure, findings)
