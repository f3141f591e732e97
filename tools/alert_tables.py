"""Writes the tables of docs/alerts.md from the rules: one under each heading that names a file.

PYTHONPATH=tests python tools/alert_tables.py
"""

from __future__ import annotations

import re

from support.rule_files import ALERTS, ROOT, Alert, causes

PAGE = ROOT / "docs/alerts.md"
_TABLE = re.compile(r"(### .*\(`(\w+\.yml)`\)\n\n\|.*\n\|.*\n)(?:\|.*\n)*")


def with_tables(page: str) -> str:
    """The page, its tables made anew."""
    return _TABLE.sub(lambda found: found[1] + _rows(found[2]), page)


def _rows(file: str) -> str:
    return "".join(_row(alert) for alert in ALERTS.values() if alert.file.name == file)


def _row(alert: Alert) -> str:
    cells = (
        f"[{alert.name}](runbooks/{alert.name}.md)",
        alert.labels["severity"],
        ", ".join(f"`{cause}`" for cause in causes(alert)),
        alert.annotations["summary"],
    )
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text()))
