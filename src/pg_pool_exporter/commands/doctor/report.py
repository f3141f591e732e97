"""The checklist in the document of `/api/v1/findings`, and the exit code it leads to."""

from __future__ import annotations

from typing import Literal

from pg_pool_exporter.analysis.findings.finding import Verdict
from pg_pool_exporter.commands.findings_document import Document, Part

EXIT_CODES = {Verdict.FINE: 0, Verdict.WARNING: 1, Verdict.PROBLEM: 3}


class Point(Part):
    """One point of the checklist."""

    check: str
    verdict: Literal["unknown", "fine", "warning", "problem"]
    figure: str
    evidence: tuple[str, ...]
    remedy: tuple[str, ...]
    runbooks: tuple[str, ...] = ()

    @property
    def level(self) -> Verdict:
        """Its verdict."""
        return Verdict[self.verdict.upper()]


class Report(Document):
    """All points, and the exit code that they lead to."""

    content = "a checklist"

    version: Literal[1]
    checks: tuple[Point, ...]

    @property
    def exit_code(self) -> int:
        """Of the command: by the worst point; unknown ones do not count."""
        return EXIT_CODES[max((Verdict.FINE, *(point.level for point in self.checks)))]
