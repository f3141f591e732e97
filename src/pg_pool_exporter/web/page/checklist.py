"""The checklist: what is fine, what is not, and what is unknown."""

from __future__ import annotations

from collections.abc import Sequence

from pg_pool_exporter.analysis.checklist.check import Check
from pg_pool_exporter.analysis.finding import Verdict
from pg_pool_exporter.web.page.markup import Html, element, join, name, sentence
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
    unknown = sum(one.verdict is Verdict.UNKNOWN for one in checks)
    return element(
        "section",
        element("h2", "Checklist", id="checklist"),
        table(
            f"{len(checks)} points, {unknown} of them unknown",
            _COLUMNS,
            (_row(one) for one in checks),
        ),
        aria_labelledby="checklist",
    )


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
