"""The page at `/`: what a person sees who opens the exporter's address in a browser."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from pg_pool_exporter import __version__
from pg_pool_exporter.store import TargetState

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>pg-pool-exporter</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font-family: system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem }}
table {{ border-collapse: collapse; width: 100% }}
caption {{ text-align: left; font-weight: bold; padding: .5rem 0 }}
th, td {{ text-align: left; padding: .25rem 1rem .25rem 0; border-bottom: 1px solid #8888 }}
</style>
</head>
<body>
<main>
<h1>pg-pool-exporter</h1>
<p>Version {version}. Connection pools of PostgreSQL, seen from both sides.</p>
<ul>
<li><a href="{telemetry_path}">Metrics</a></li>
<li><a href="/-/healthy">Health</a>: answers while the process runs</li>
<li><a href="/-/ready">Readiness</a>: each target has been polled once</li>
</ul>
{targets}
</main>
</body>
</html>
"""

_TABLE = """<table>
<caption>Targets</caption>
<thead>
<tr><th scope="col">Target</th><th scope="col">Kind</th><th scope="col">State</th></tr>
</thead>
<tbody>
{rows}
</tbody>
</table>"""


def landing_page(telemetry_path: str, states: Iterable[TargetState]) -> str:
    """HTML with links to the end points, and each target's state."""
    rows = "\n".join(map(_row, states))
    return _PAGE.format(
        version=escape(__version__),
        telemetry_path=escape(telemetry_path),
        targets=_TABLE.format(rows=rows) if rows else "<p>No targets yet.</p>",
    )


def _row(state: TargetState) -> str:
    cells = f"<td>{escape(state.key.kind)}</td><td>{_condition(state)}</td>"
    return f'<tr><th scope="row">{escape(state.key.name)}</th>{cells}</tr>'


def _condition(state: TargetState) -> str:
    if state.health.up:
        return "up"
    return "down" if state.health.polls else "not polled yet"
