"""A point of the checklist, and what all points are made with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pg_pool_exporter.analysis.analyzer import Diagnosis
from pg_pool_exporter.analysis.finding import Cause, Finding, Level
from pg_pool_exporter.analysis.fleet_view import Pool

# Of each point, so many lines of evidence are told.
_MOST_TOLD = 10


class Verdict(Level):
    """How a point of the checklist looks."""

    UNKNOWN = -1
    """It can't be told."""
    FINE = 0
    WARNING = 1
    PROBLEM = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One point of the checklist. All texts are plain; names in them come from outside."""

    name: str
    verdict: Verdict
    figure: str
    evidence: tuple[str, ...] = ()
    remedy: tuple[str, ...] = ()


def findings_of(diagnosis: Diagnosis, *causes: Cause) -> list[Finding]:
    return [one for one in diagnosis.findings if one.cause in causes]


def judged(name: str, figure: str, findings: Iterable[Finding]) -> Check:
    """A point whose verdict is that of its findings."""
    findings = list(findings)
    worst = max((one.severity for one in findings), default=Verdict.FINE)
    return Check(
        name=name,
        verdict=Verdict(worst),
        figure=figure,
        evidence=few(_told(one) for one in findings),
        remedy=remedies(findings),
    )


def unknown(name: str, why: str) -> Check:
    return Check(name=name, verdict=Verdict.UNKNOWN, figure=why)


def _told(finding: Finding) -> str:
    sites = ", ".join(
        f"{site} ({count:g})" for site, count in list(finding.sites.items())[:_MOST_TOLD]
    )
    parts = [f"{finding.subject}: {finding.summary}", *finding.evidence]
    at = "at" if finding.sites_are_certain else "at one of"
    return " ".join([*parts, f"Borrowed {at} {sites}."] if sites else parts)


def remedies(findings: Iterable[Finding]) -> tuple[str, ...]:
    return few(dict.fromkeys(one.remedy for one in findings if one.remedy))


def few(lines: Iterable[str]) -> tuple[str, ...]:
    """The first, and how many more there are."""
    lines = list(lines)
    more = len(lines) - _MOST_TOLD
    return (*lines[:_MOST_TOLD], f"{more} more") if more > 0 else tuple(lines)


def pool_name(pool: Pool) -> str:
    return f"{pool.app}/{pool.pool}"
