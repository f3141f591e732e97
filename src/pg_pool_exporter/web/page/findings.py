"""The findings: one line each, then with all details."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from pg_pool_exporter.analysis.findings.finding import Finding, Severity
from pg_pool_exporter.analysis.findings.remedies import runbook
from pg_pool_exporter.analysis.findings.wording import figure, number
from pg_pool_exporter.web.links import Links
from pg_pool_exporter.web.page.markup import Html, element, join, left_out, name, section, sentence

_MAX_IN_BRIEF = 5
_MAX_OPEN = 10
_MAX_SHOWN = 100
_MAX_SITES = 10


def verdict(findings: Sequence[Finding]) -> tuple[str, str]:
    """The severity (a class), and in words."""
    problems = sum(one.severity is Severity.PROBLEM for one in findings)
    warnings = len(findings) - problems
    words = [
        number(count, one, many)
        for count, one, many in (
            (problems, "problem", "problems"),
            (warnings, "warning", "warnings"),
        )
        if count
    ]
    return ("problem" if problems else "warning"), ", ".join(words)


def in_brief(findings: Sequence[Finding]) -> Html | None:
    """The worst, a line each, at the top of the page."""
    if not findings:
        return None
    lines = [
        element(
            "li",
            element("a", one.cause.title, href=f"#{_anchor(one)}"),
            " ",
            name(str(one.subject)),
            f": {one.summary}",
            *_site_in_brief(one),
            class_=one.severity.title,
        )
        for one in findings[:_MAX_IN_BRIEF]
    ]
    more = len(findings) - _MAX_IN_BRIEF
    if more > 0:
        lines.append(element("li", element("a", f"{more} more below", href="#wrong")))
    return element("ul", join(lines), class_="brief")


def in_full(findings: Sequence[Finding], links: Links) -> Html | None:
    """Each with figures, evidence, lines of code, remedy, and links to runbook and dashboard."""
    if not findings:
        return None
    shown = [_finding(one, at, links) for at, one in enumerate(findings[:_MAX_SHOWN], 1)]
    cards = element("div", join(shown), class_="findings")
    return section("wrong", "What is wrong", cards, left_out(len(findings) - _MAX_SHOWN))


def _finding(finding: Finding, at: int, links: Links) -> Html:
    heading = element(
        "summary",
        element("span", finding.severity.title, class_="badge"),
        " ",
        element("strong", finding.cause.title),
        " ",
        name(str(finding.subject)),
    )
    figures = [figure(label, value) for label, value in finding.figures.items() if value]
    return element(
        "details",
        heading,
        element("p", finding.summary, class_="summary"),
        _sites(finding),
        element(
            "ul",
            join(element("li", f"{label} ", element("b", text)) for label, text in figures),
            class_="figures",
        )
        if figures
        else None,
        element("ul", join(element("li", one) for one in finding.evidence), class_="evidence")
        if finding.evidence
        else None,
        _remedy(finding, links),
        id=_anchor(finding),
        class_=f"finding {finding.severity.title}",
        open="" if at <= _MAX_OPEN else None,
    )


def _anchor(finding: Finding) -> str:
    """The same for the same cause and subject: a refresh finds it again wherever it stands."""
    about = f"{finding.cause.value} {finding.subject.parts}"
    return f"finding-{sha256(about.encode(errors='replace')).hexdigest()[:12]}"


def _remedy(finding: Finding, links: Links) -> Html | None:
    parts = []
    if finding.remedy:
        parts.append(element("p", element("b", "What to do: "), sentence(finding.remedy)))
    further = (
        ("Runbook", runbook(finding.cause, links.runbooks)),
        ("Dashboard", links.about(finding.subject)),
    )
    shown = [element("a", words, href=address) for words, address in further if address]
    if shown:
        parts.append(element("p", join(shown), class_="further"))
    return element("div", join(parts), class_="remedy") if parts else None


def _site_in_brief(finding: Finding) -> tuple[str, ...]:
    if not finding.sites_are_certain:
        return (f" At one of {len(finding.sites)} lines.",)
    site = next(iter(finding.sites), None)
    return () if site is None else (" ", element("code", site))


def _sites(finding: Finding) -> Html | None:
    if not finding.sites:
        return None
    items = [
        element("li", element("code", site), f" ({count:g})")
        for site, count in list(finding.sites.items())[:_MAX_SITES]
    ]
    more = len(finding.sites) - _MAX_SITES
    if more > 0:
        items.append(element("li", f"{more} more"))
    return element("ul", join(items), class_="sites", aria_label="Lines of code")
