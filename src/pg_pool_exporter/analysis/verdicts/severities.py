"""Severities that do not swing: they rise at once, and fall after a while."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from pg_pool_exporter.analysis.finding import Cause, Finding, Severity, Subject

KEPT_SECONDS = 300.0
"""For how long a finding stays a problem after it was one last."""
GONE_SECONDS = 60.0
"""Seconds of absence after which a finding has ended: one that comes back sooner is the same."""


class _Problem(NamedTuple):
    was_one: float
    seen: float


class SteadySeverities:
    """Remembers which findings were problems; `clock` is in seconds and never goes back."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._problems: dict[tuple[Cause, Subject], _Problem] = {}

    def begin(self) -> None:
        """Forget what has ended: another analysis begins."""
        now = self._clock()
        self._problems = {
            key: one
            for key, one in self._problems.items()
            if now - one.was_one < KEPT_SECONDS and now - one.seen < GONE_SECONDS
        }

    def of(self, finding: Finding) -> Finding:
        """The finding of this analysis with its severity."""
        now, key = self._clock(), (finding.cause, finding.subject)
        if finding.severity is Severity.PROBLEM:
            self._problems[key] = _Problem(now, now)
        elif (known := self._problems.get(key)) is not None:
            self._problems[key] = _Problem(known.was_one, now)
            return replace(finding, severity=Severity.PROBLEM)
        return finding
