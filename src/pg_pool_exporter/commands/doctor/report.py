"""The checklist in the document of `/api/v1/findings`, and the exit code it leads to."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from pg_pool_exporter.analysis.finding import Verdict

EXIT_CODES = {Verdict.FINE: 0, Verdict.WARNING: 1, Verdict.PROBLEM: 3}
NO_ANSWER = 4


class ReportError(Exception):
    """There is no report. The message says why, and holds no secret."""


class Part(BaseModel):
    """A part of the document: a newer exporter may have more keys."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    content: ClassVar[str] = ""
    """What it is, in the message about a document without it."""

    @classmethod
    def read(cls, text: str) -> Self:
        """The part in a document. Raises `ReportError` for any other text."""
        try:
            return cls.model_validate_json(text)
        except ValidationError:
            raise ReportError(
                f"the answer is not from a pg-pool-exporter, or from one without {cls.content}"
            ) from None


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


class Report(Part):
    """The checklist."""

    content = "a checklist"

    version: Literal[1]
    checks: tuple[Point, ...]

    @property
    def exit_code(self) -> int:
        """Of the command: by the worst point; unknown ones do not count."""
        return EXIT_CODES[max((Verdict.FINE, *(point.level for point in self.checks)))]
