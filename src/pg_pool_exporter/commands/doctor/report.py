"""The document of `/api/v1/findings`, as far as it is shown, and what a script is told of it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from pg_pool_exporter.analysis import Verdict

EXIT_CODES = {Verdict.FINE: 0, Verdict.WARNING: 1, Verdict.PROBLEM: 3}
"""By the worst point that can be told."""
NO_ANSWER = 4


class ReportError(Exception):
    """No report can be had. The message says why, and holds no secret."""


class _Read(BaseModel):
    # A newer daemon may tell more.
    model_config = ConfigDict(extra="ignore", frozen=True)


class Point(_Read):
    """One point of the checklist."""

    check: str
    verdict: Literal["unknown", "fine", "warning", "problem"]
    figure: str
    evidence: tuple[str, ...]
    remedy: tuple[str, ...]

    @property
    def level(self) -> Verdict:
        """How bad it is."""
        return Verdict[self.verdict.upper()]


class Report(_Read):
    """The checklist."""

    version: Literal[1]
    checks: tuple[Point, ...]

    @property
    def worst(self) -> Verdict:
        """Of all points; what can't be told is not counted."""
        return max((point.level for point in self.checks), default=Verdict.FINE)

    @property
    def exit_code(self) -> int:
        """What a script is told."""
        return EXIT_CODES[max(Verdict.FINE, self.worst)]


def read(text: str | bytes) -> Report:
    """The report in a document. Raises `ReportError` when it is none."""
    try:
        return Report.model_validate_json(text)
    except ValidationError:
        raise ReportError(
            "what answers there is no pg-pool-exporter, or one without a checklist"
        ) from None
