"""Findings that do not swing while nothing else changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
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


class Steady:
    """Remembers findings; `clock` is in seconds and never goes back."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._problems: dict[tuple[Cause, Subject], _Problem] = {}
        self._long: dict[Subject, tuple[float, Finding]] = {}

    def begin(self) -> None:
        """Forget what has ended: another analysis begins."""
        now = self._clock()
        self._problems = {
            key: one
            for key, one in self._problems.items()
            if now - one.was_one < KEPT_SECONDS and now - one.seen < GONE_SECONDS
        }
        self._long = {
            subject: (at, one)
            for subject, (at, one) in self._long.items()
            if now - at < GONE_SECONDS
        }

    def cause(self, findings: Iterable[Finding]) -> Iterator[Finding]:
        """Those about a bouncer. Where its long transactions have all just begun, it looks as if
        connections came back soon.
        """
        now = self._clock()
        for one in findings:
            if one.cause is Cause.BOUNCER_LONG_TRANSACTIONS:
                self._long[one.subject] = (now, one)
            if one.cause is Cause.BOUNCER_POOL_TOO_SMALL and one.subject in self._long:
                yield self._long[one.subject][1]
            else:
                yield one

    def severity(self, finding: Finding) -> Finding:
        """The finding of this analysis; its severity rises at once, and falls after a while."""
        now, key = self._clock(), (finding.cause, finding.subject)
        if finding.severity is Severity.PROBLEM:
            self._problems[key] = _Problem(now, now)
        elif (known := self._problems.get(key)) is not None:
            self._problems[key] = _Problem(known.was_one, now)
            return replace(finding, severity=Severity.PROBLEM)
        return finding
