"""The checklist: points that are fine, not fine, or unknown."""

from __future__ import annotations

from collections.abc import Sequence

from pg_pool_exporter.analysis.checklist.check import Check
from pg_pool_exporter.analysis.findings.finding import Verdict
from pg_pool_exporter.analysis.findings.wording import number
from pg_pool_exporter.web.page.markup import Html, element, join, name, section, sentence
from pg_pool_exporter.web.page.tables import row, table

_COLUMNS = ("Point", "Verdict", "Figure")


def warnings_in_brief(checks: Sequence[Check]) -> Html | None:
    """The points that warn, a line each, for the top of the page; None without any."""
    lines = [
        element(
            "li",
            element("a", _title(one), href="#checklist"),
            ": ",
            name(one.figure),
            *(". ", element("bdi", one.evidence[0])) if one.evidence else (),
            *(" ", sentence(one.remedy[0])) if one.remedy else (),
            class_=one.verdict.title,
        )
        for one in checks
        if one.verdict >= Verdict.WARNING
    ]
    return element("ul", join(lines), class_="brief") if lines else None


def checklist_section(checks: Sequence[Check]) -> Html | None:
    """All points; None without any."""
    if not checks:
        return None
    fine = [one for one in checks if one.verdict is Verdict.FINE]
    others = [one for one in checks if one.verdict is not Verdict.FINE]
    unknown = sum(one.verdict is Verdict.UNKNOWN for one in checks)
    words = f"{number(len(checks), 'point', 'points')}: {len(fine)} fine, {unknown} unknown"
    return section(
        "checklist",
        "Checklist",
        element("p", words),
        _table("Not fine, or unknown", others) if others else None,
        element("details", element("summary", "Points that are fine"), _table("Fine", fine))
        if fine
        else None,
    )


def _table(caption: str, checks: Sequence[Check]) -> Html:
    return table(caption, _COLUMNS, map(_row, checks), "checks")


def _row(check: Check) -> Html:
    bad = check.verdict >= Verdict.WARNING
    return row(
        _COLUMNS,
        element("span", _title(check)),
        check.verdict.title,
        name(check.figure),
        kind=check.verdict.title if bad else "",
    )


def _title(check: Check) -> str:
    return check.name.replace("_", " ")
