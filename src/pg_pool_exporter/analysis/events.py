"""Findings and overdue checkouts that begin or end from one analysis to the next. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import NamedTuple

from pg_pool_exporter.analysis.analyzer import Analysis
from pg_pool_exporter.analysis.findings.finding import Cause, Finding, Severity, Subject

GONE_SECONDS = 60.0
"""Seconds of absence after which something has ended: a flapping finding is one event."""
MAX_STANDING = 2000
"""Lines of code with overdue checkouts, and findings, that are followed at once."""


class Standing(NamedTuple):
    """A finding, or the overdue checkouts of a line of code."""

    cause: Cause | None
    """None: overdue checkouts."""
    subject: Subject
    severity: Severity | None
    amount: float
    summary: str
    sites: Mapping[str, float]

    @property
    def key(self) -> tuple[object, ...]:
        """Its identity, without its amount."""
        return self.cause, self.subject, "" if self.cause else next(iter(self.sites))


class Change(Enum):
    """The kind of an event."""

    APPEARED = "appeared"
    WORSE = "worse"
    """A warning has become a problem."""
    GONE = "gone"


class Event(NamedTuple):
    """A change of a finding, or of overdue checkouts."""

    change: Change
    what: Standing


class Followed(NamedTuple):
    """The current one, and since when it is absent (monotonic); None while it is present."""

    what: Standing
    away_since: float | None = None


Known = Mapping[tuple[object, ...], Followed]


def follow(known: Known, analysis: Analysis, now: float) -> tuple[Known, list[Event]]:
    """The current ones after an analysis at `now` (monotonic), and the events since `known`.

    Those missing from a failed analysis are unknown, not ended.
    """
    present = {one.key: one for one in _standing(analysis)}
    after: dict[tuple[object, ...], Followed] = {}
    events = []
    for key, (former, away_since) in known.items():
        if key in present or analysis.failed:
            after[key] = Followed(former)
        elif away_since is not None and now - away_since >= GONE_SECONDS:
            events.append(Event(Change.GONE, former))
        else:
            after[key] = Followed(former, now if away_since is None else away_since)
    for key, one in present.items():
        if key not in after:
            if len(after) >= MAX_STANDING:
                continue
            events.append(Event(Change.APPEARED, one))
        elif (one.severity or 0) > (after[key].what.severity or 0):
            events.append(Event(Change.WORSE, one))
        after[key] = Followed(one)
    return after, events


def _standing(analysis: Analysis) -> Iterator[Standing]:
    """The worst first."""
    for one in analysis.findings:
        yield Standing(
            one.cause, one.subject, one.severity, one.amount, one.summary, _certain_sites(one)
        )
    for pool in analysis.fleet.pools:
        for site, count in pool.overdue_by_site.items():
            yield Standing(
                None,
                pool.subject,
                None,
                count,
                f"Checked out for longer than {pool.leak_after:g} s.",
                {site: count},
            )


def _certain_sites(finding: Finding) -> Mapping[str, float]:
    return finding.sites if finding.sites_are_certain else {}
