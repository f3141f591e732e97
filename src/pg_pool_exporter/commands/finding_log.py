"""Logs findings and overdue checkouts as they begin and end."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from pg_pool_exporter.analysis.analyzer import Analysis
from pg_pool_exporter.analysis.events import Change, Event, Known, follow
from pg_pool_exporter.analysis.findings.finding import Cause
from pg_pool_exporter.analysis.findings.wording import few
from pg_pool_exporter.polling.log_limit import LogLimit

log = structlog.get_logger(__name__)

# Lines at once, and seconds until there may be one more: a fleet that flaps must not fill a disk.
_BURST = 50
_SECONDS_PER_LINE = 6.0
_MAX_SITES = 3
# The log has these from where they happen.
_LOGGED_ELSEWHERE = frozenset(
    {
        Cause.POSTGRESQL_UNREACHABLE,
        Cause.TARGET_UNREACHABLE,
        Cause.LOGIN_FAILED,
        Cause.EXPORTER_IMPAIRED,
    }
)


class FindingLog:
    """Logs events, a line each, and how many it had to leave out.

    `clock` is monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: Known = {}
        self._last: Analysis | None = None
        self._limit = LogLimit(_BURST, _SECONDS_PER_LINE, clock)

    def follow(self, analysis: Analysis) -> None:
        """Log the events since the former analysis."""
        if analysis is self._last:
            return
        self._last = analysis
        self._known, events = follow(self._known, analysis, self._clock())
        for event in events:
            if event.what.cause not in _LOGGED_ELSEWHERE and self._limit.allows():
                _write(event)
        if left_out := self._limit.left_out():
            log.warning("findings come and go too often to log all", left_out=left_out)


def _write(event: Event) -> None:
    what = event.what
    facts = what.subject.parts
    if what.sites:
        sites = (f"{site} ({count:g})" for site, count in what.sites.items())
        facts["sites"] = ", ".join(few(sites, _MAX_SITES))
    if what.cause is None:
        log.info(f"overdue checkouts {event.change.value}", count=_number(what.amount), **facts)
        return
    assert what.severity is not None
    write = log.info if event.change is Change.GONE else log.warning
    write(
        f"finding {event.change.value}",
        cause=what.cause.value,
        severity=what.severity.title,
        amount=_number(what.amount),
        **facts,
        summary=what.summary,
    )


def _number(value: float) -> float:
    return int(value) if value == int(value) else value
