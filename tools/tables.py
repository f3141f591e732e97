"""Writes the tables of docs/alerts.md and docs/findings.md from the rules and the causes.

PYTHONPATH=tests python tools/tables.py
"""

from __future__ import annotations

import re
from inspect import getsource

from pg_pool_exporter.analysis.finding import Cause
from support.rule_files import ALERTS, ROOT, Alert, causes

PAGES = (ROOT / "docs/alerts.md", ROOT / "docs/findings.md")

_ALERTS = re.compile(r"(### .*\(`(\w+\.yml)`\)\n\n\|.*\n\|.*\n)(?:\|.*\n)*")
_CAUSES = re.compile(r"^(\| cause \|.*\n\|([-|]+)\|\n)(?:\|.*\n)*", re.MULTILINE)
_CAUSE = re.compile(r' = "(\w+)"\n    """(.*?)\n\n(.*?)"""', re.DOTALL)


def with_tables(page: str) -> str:
    """The page, its tables made anew."""
    page = _ALERTS.sub(lambda found: found[1] + _of_alerts(found[2]), page)
    return _CAUSES.sub(lambda found: found[1] + _of_causes(found[2].count("|") + 1), page)


def _of_alerts(file: str) -> str:
    return "".join(_alert(alert) for alert in ALERTS.values() if alert.file.name == file)


def _alert(alert: Alert) -> str:
    return _row(
        f"[{alert.name}](runbooks/{alert.name}.md)",
        alert.labels["severity"],
        ", ".join(f"`{cause}`" for cause in causes(alert)),
        alert.annotations["summary"],
    )


def _of_causes(columns: int) -> str:
    """What each cause is and, in the last of three columns, how it is recognised."""
    documented = _CAUSE.findall(getsource(Cause))
    if columns == 2:  # alerts without a known cause have no label
        documented = [one for one in documented if one[0] != Cause.UNKNOWN.value]
    return "".join(_row(*(f"`{name}`", *texts)[:columns]) for name, *texts in documented)


def _row(*cells: str) -> str:
    return f"| {' | '.join(' '.join(cell.split()) for cell in cells)} |\n"


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(with_tables(path.read_text()))
