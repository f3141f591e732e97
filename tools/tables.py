"""Writes the tables of docs from the rules, the causes and the thresholds.

PYTHONPATH=tests python tools/tables.py
"""

from __future__ import annotations

import re
from inspect import getsource

from pg_pool_exporter.analysis.findings.finding import Cause
from pg_pool_exporter.config import AppThresholds, PoolThresholds, Thresholds
from support.rule_files import ALERTS, ROOT, WITHOUT_ALERT, Alert, causes, severities
from tools.configuration_keys import with_keys
from tools.formats_page import table_of

PAGES = tuple(
    ROOT / "docs" / name
    for name in (
        "reference/alerts.md",
        "reference/configuration.md",
        "reference/findings.md",
        "how-to/other-languages.md",
    )
)

_ALERTS = re.compile(r"(### .*\(`(\w+\.yml)`\)\n\n\|.*\n\|.*\n)(?:\|.*\n)*")
_CAUSES = re.compile(r"^(\| cause \|.*\n\|([-|]+)\|\n)(?:\|.*\n)*", re.MULTILINE)
_CAUSE = re.compile(r' = "(\w+)"\n    """(.*?)\n\n(.*?)"""', re.DOTALL)
_FORMATS = re.compile(r"(^## (.*)\n\n)\| format \| libraries .*\n(?:\|.*\n)*", re.MULTILINE)
_THRESHOLDS = re.compile(r"^(\| threshold \|.*\n\|.*\n)(?:\|.*\n)*", re.MULTILINE)
_THRESHOLD = re.compile(r'    (\w+): (\w+) = [^\n]*\n    """(.*?)"""', re.DOTALL)
_LEVELS = (
    (PoolThresholds, "the file, apps, pools"),
    (AppThresholds, "the file, apps"),
    (Thresholds, "the file"),
)
_DURATIONS = {
    name
    for model, _ in _LEVELS
    for name, kind, _ in _THRESHOLD.findall(getsource(model))
    if kind == "Duration"
}


def with_tables(page: str) -> str:
    """The page, its tables made anew."""
    page = _ALERTS.sub(lambda found: found[1] + _of_alerts(found[2]), page)
    page = with_keys(page)
    page = _FORMATS.sub(
        lambda found: found[1] + table_of(found[2], "../reference/formats.md"), page
    )
    page = _THRESHOLDS.sub(lambda found: found[1] + _of_thresholds(), page)
    return _CAUSES.sub(lambda found: found[1] + _of_causes(found[2].count("|") + 1), page)


def _of_alerts(file: str) -> str:
    return "".join(_alert(alert) for alert in ALERTS.values() if alert.file.name == file)


def _alert(alert: Alert) -> str:
    return _row(
        f"[{alert.name}](../runbooks/{alert.name}.md)",
        ", ".join(severities(alert)),
        ", ".join(f"`{cause}`" for cause in causes(alert)),
        alert.annotations["summary"],
    )


def _of_causes(columns: int) -> str:
    """What each cause is and, in the last of three columns, how it is recognised."""
    documented = _CAUSE.findall(getsource(Cause))
    if columns == 2:
        documented = [one for one in documented if one[0] not in WITHOUT_ALERT]
    return "".join(
        _row(*(f"`{name}`", what, _with_defaults(how))[:columns]) for name, what, how in documented
    )


def _of_thresholds() -> str:
    return "".join(
        _row(f"`{name}`", levels, text, f"`{_default(name)}`")
        for model, levels in _LEVELS
        for name, _, text in _THRESHOLD.findall(getsource(model))
    )


def _with_defaults(text: str) -> str:
    """The text, with its default behind each threshold that it names."""
    names = "|".join(Thresholds.model_fields)
    return re.sub(rf"`({names})`", lambda found: f"{found[0]} ({_default(found[1])})", text)


def _default(threshold: str) -> str:
    """As in a file."""
    value = getattr(Thresholds(), threshold)
    return f"{value:g}s" if threshold in _DURATIONS else f"{value:g}"


def _row(*cells: str) -> str:
    return f"| {' | '.join(' '.join(cell.split()) for cell in cells)} |\n"


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(with_tables(path.read_text()))
