"""Pictures of text: an alert as it is sent, and the fix of the code that it names."""

from __future__ import annotations

from difflib import unified_diff
from inspect import getsource

from pg_pool_exporter.commands.demo.shop import show_report
from pg_pool_exporter.web.page.markup import Html, element, join

STYLE = """
body { margin: 0; padding: 24px; background: #fff; color: #16202b; width: 912px;
  font: 16px/1.5 "DejaVu Sans", sans-serif; }
h1 { font-size: 20px; margin: 0 0 12px; color: #a8201a; }
dl { display: grid; grid-template-columns: 130px 1fr; gap: 6px 12px; margin: 0; }
dt { color: #54606e; } dd { margin: 0; overflow-wrap: anywhere; }
pre { margin: 0; font: 15px/1.5 "DejaVu Sans Mono", monospace; }
pre span { display: block; padding: 0 8px; min-height: 1.5em; }
.added { background: #e8f5ec; color: #17653a; } .removed { background: #fdecea; color: #a8201a; }
"""
_SHOWN = {
    "summary": "Summary", "description": "Description",
    "runbook_url": "Runbook", "dashboard": "Dashboard",
}  # fmt: skip
FIXED = '''\
def show_report(pool: Pool) -> None:
    """A correct handler: every path out of the block returns the connection."""
    some = not _empty_reports.acquire(blocking=False)
    with pool.connection() as connection:
        rows = connection.execute("select 1 where %s", [some]).fetchall()
        if not rows:
            return
'''


def alert(name: str, severity: str, annotations: dict[str, str]) -> str:
    """An alert that fires, as a page."""
    facts = [
        join([element("dt", words), element("dd", annotations[key])])
        for key, words in _SHOWN.items()
    ]
    return _page(element("h1", f"[FIRING] {name} ({severity})"), element("dl", join(facts)))


def fix() -> str:
    """How the demonstration's handler that leaks is fixed, as a page."""
    lines = unified_diff(getsource(show_report).splitlines(), FIXED.splitlines(), n=9, lineterm="")
    kinds = {"+": "added", "-": "removed"}
    shown = [
        element("span", line, class_=kinds.get(line[0]))
        for line in lines
        if not line.startswith(("---", "+++", "@@"))
    ]
    return _page(element("pre", join(shown)))


def _page(*body: Html) -> str:
    return f"<!DOCTYPE html><meta charset=utf-8><style>{STYLE}</style>{join(body)}"
