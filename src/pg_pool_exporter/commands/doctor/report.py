"""The checklist in the document of `/api/v1/findings`, and the exit code it leads to."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from pg_pool_exporter.analysis.finding import Verdict

EXIT_CODES = {Verdict.FINE: 0, Verdict.WARNING: 1, Verdict.PROBLEM: 3}
NO_ANSWER = 4


class ReportError(Exception):
    """There is no report. The message says why, and holds no secret."""


class _Read(BaseModel):
    # A newer daemon may have more keys.
    model_config = ConfigDict(extra="ignore", frozen=True)


class Point(_Read):
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


class Report(_Read):
    """The checklist."""

    version: Literal[1]
    checks: tuple[Point, ...]

    @property
    def exit_code(self) -> int:
        """Of the command: by the worst point; unknown ones do not count."""
        return EXIT_CODES[max((Verdict.FINE, *(point.level for point in self.checks)))]


def read(text: str) -> Report:
    """The report in a document. Raises `ReportError` for any other text."""
    try:
        return Report.model_validate_json(text)
    except ValidationError:
        raise ReportError(
            "the answer is not from a pg-pool-exporter, or from one without a checklist"
        ) from None
