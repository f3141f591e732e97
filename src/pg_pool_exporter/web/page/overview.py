"""The top of the page: how bad it is, each problem in one line, and how much is watched."""

from __future__ import annotations

from pg_pool_exporter.analysis.analyzer import Analysis
from pg_pool_exporter.analysis.findings.finding import Verdict
from pg_pool_exporter.analysis.findings.wording import number, spell
from pg_pool_exporter.analysis.records.fleet_view import FleetView
from pg_pool_exporter.web.page.checklist import warnings_in_brief
from pg_pool_exporter.web.page.findings import in_brief, verdict
from pg_pool_exporter.web.page.markup import Html, element, join, linked


def verdict_in_words(analysis: Analysis, late: float | None) -> tuple[str, str]:
    """How bad it is (a class), and in words."""
    if analysis.findings:
        return verdict(analysis.findings)
    return _without_findings(analysis, late)


def overview(analysis: Analysis, late: float | None) -> Html:
    """The verdict, what it is made of, and links to the sections.

    `late` is the age of an analysis that the next one should have replaced, in seconds.
    """
    severity, words = verdict_in_words(analysis, late)
    return element(
        "div",
        # Read out by a screen reader when a refresh changes it.
        element("h1", words, aria_live="polite"),
        None if late is None else element("p", element("strong", _late(late))),
        in_brief(analysis.findings) if analysis.findings else warnings_in_brief(analysis.checks),
        _counts(analysis.fleet),
        class_=f"overview {severity}".rstrip(),
    )


def _late(seconds: float) -> str:
    return (
        f"This page is {spell(seconds)} old: the analysis hangs. Restart the exporter, "
        "and report it as a bug."
    )


def _without_findings(analysis: Analysis, late: float | None) -> tuple[str, str]:
    """Only what has been read is known, and good."""
    fleet = analysis.fleet
    if late is not None:
        return "warning", "Present state unknown: the analysis hangs"
    if analysis.failed:
        return "warning", "An analysis failed: see the log"
    if not fleet.targets:
        return "warning", "Nothing is watched"
    warnings = sum(one.verdict is Verdict.WARNING for one in analysis.checks)
    if not fleet.pools and not fleet.bouncer_pools:
        if all(not one.health.polls for one in fleet.targets):
            return "", "Nothing is known yet"
        return "warning" if warnings else "", "No pool is watched"
    if warnings:
        return "warning", number(warnings, "warning", "warnings")
    return "fine", "Nothing is wrong"


def _counts(fleet: FleetView) -> Html:
    """How much is watched: links to the sections that there are."""
    up = sum(one.health.up for one in fleet.targets)
    servers = sum(one.key.kind == "server" for one in fleet.targets)
    parts = (
        ("pools", number(len(fleet.pools), "pool", "pools"), bool(fleet.pools)),
        ("servers", number(servers, "server", "servers"), bool(fleet.servers)),
        ("targets", f"{up} of {number(len(fleet.targets), 'target', 'targets')} up", True),
    )
    items = (
        element("li", linked(element("span", text), f"#{anchor}" if is_there else None))
        for anchor, text, is_there in parts
    )
    return element("nav", element("ul", join(items)), aria_label="Sections", class_="counts")
