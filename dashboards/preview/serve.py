"""Serves the preview of the dashboards: a page that draws the same JSON as Grafana, with the same
queries, from a Prometheus. Its packages: `npm ci --prefix dashboards/preview`.
"""

from __future__ import annotations

import json
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

WIDTH = 1500
HEADER, CELL = 44, 38
"""Pixels, as in preview.html and preview.js: what is above the grid, and a row of it."""
_DASHBOARDS = Path(__file__).parents[1]
_SCREEN = HEADER + 28 * CELL


class _Files(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(prometheus: str, *, scrape: int = 1) -> Iterator[Preview]:
    """The preview over a Prometheus; `scrape` is its interval, in seconds."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, directory=str(_DASHBOARDS)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield Preview(
            f"http://127.0.0.1:{server.server_port}/preview/preview.html", prometheus, scrape
        )
    finally:
        server.shutdown()
        server.server_close()


class Preview:
    """Addresses of what is served."""

    def __init__(self, base: str, prometheus: str, scrape: int) -> None:
        self._base = base
        self._common = {"prometheus": prometheus, "scrape": scrape}

    def address(self, dashboard: str, seconds: int, **variables: str) -> str:
        """A dashboard with so many last seconds, and regular expressions for variables."""
        chosen = {f"var-{name}": value for name, value in variables.items()}
        query = {**self._common, "dashboard": dashboard, "seconds": seconds, **chosen}
        return f"{self._base}?{urllib.parse.urlencode(query)}"


def first_screen(dashboard: str) -> int:
    """The height in pixels of the panels that a large screen shows whole."""
    panels = json.loads((_DASHBOARDS / f"{dashboard}.json").read_text())["panels"]
    ends = sorted(map(bottom, panels))
    whole = [end for end in ends if not any(_top(one) < end < bottom(one) for one in panels)]
    return max(end for end in whole if end <= _SCREEN)


def bottom(panel: dict[str, Any]) -> int:
    """The height in pixels at which a panel ends."""
    place = panel["gridPos"]
    return HEADER + CELL * int(place["y"] + place["h"])


def _top(panel: dict[str, Any]) -> int:
    return HEADER + CELL * int(panel["gridPos"]["y"])
