"""A point of the checklist, and what all points are made with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pg_pool_exporter.analysis.findings.finding import Cause, Finding, Sign, Verdict
from pg_pool_exporter.analysis.findings.wording import MOST_LINES, few
from pg_pool_exporter.analysis.verdicts.judge import Judged


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One point of the checklist. All texts are plain; names in them come from outside."""

    name: str
    verdict: Verdict
    figure: str
    evidence: tuple[str, ...] = ()
    remedy: tuple[str, ...] = ()
    causes: tuple[Cause, ...] = ()
    """Of its findings, each once."""


def findings_of(judged: Judged, *causes: Cause, sign: Sign | None = None) -> list[Finding]:
    """The findings with one of the causes, and with the sign where one is given."""
    return [
        one
        for one in judged.findings
        if one.cause in causes and (sign is None or sign in one.signs)
    ]


def of_findings(name: str, figure: str, findings: Iterable[Finding]) -> Check:
    """A point whose verdict is that of its findings."""
    findings = list(findings)
    worst = max((one.severity for one in findings), default=Verdict.FINE)
    return Check(
        name=name,
        verdict=Verdict(worst),
        figure=figure,
        evidence=few(_in_words(one) for one in findings),
        remedy=remedies(findings),
        causes=causes(findings),
    )


def unknown(name: str, why: str) -> Check:
    """A point that is not known."""
    return Check(name=name, verdict=Verdict.UNKNOWN, figure=why)


def no_server(judged: Judged) -> str:
    """Why nothing is known of a server."""
    configured = any(one.key.kind == "server" for one in judged.fleet.targets)
    return "no server answers" if configured else "no server is configured"


def _in_words(finding: Finding) -> str:
    sites = ", ".join(
        f"{site} ({count:g})" for site, count in list(finding.sites.items())[:MOST_LINES]
    )
    parts = [f"{finding.subject}: {finding.summary}", *finding.evidence]
    at = "at" if finding.sites_are_certain else "at one of"
    return " ".join([*parts, f"Checked out {at} {sites}."] if sites else parts)


def remedies(findings: Iterable[Finding]) -> tuple[str, ...]:
    """The remedies of all findings, each once."""
    return few(dict.fromkeys(one.remedy for one in findings if one.remedy))


def causes(findings: Iterable[Finding]) -> tuple[Cause, ...]:
    """The causes of all findings, each once."""
    return tuple(dict.fromkeys(one.cause for one in findings))
