"""Pictures of the dashboards, drawn from a Prometheus by a headless Chromium.

    npm ci --prefix dashboards/preview
    python -m dashboards.preview.render --prometheus http://127.0.0.1:9090 --output docs/images

Not Grafana: a page that reads the same JSON and asks the same questions, to see whether a layout
tells its story, and for the documentation.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import threading
import urllib.parse
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_DASHBOARDS = Path(__file__).parents[1]
_WIDTH = 1500
_HEADER, _CELL = 48, 38  # as in preview.html and preview.js
_QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars",
)  # fmt: skip


class _Files(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prometheus", required=True, help="its URL")
    parser.add_argument("--output", type=Path, required=True, help="directory for the pictures")
    parser.add_argument("--seconds", type=int, default=300, help="how far back to look")
    parser.add_argument("--scrape", type=int, default=1, help="the scrape interval, in seconds")
    parser.add_argument("--dashboard", action="append", help="name of a JSON file; else all")
    parser.add_argument("--rows", type=int, help="only so many rows of the grid, from the top")
    parser.add_argument("--suffix", default="", help="of the pictures' names")
    parser.add_argument("--var", action="append", default=[], help="NAME=REGEX of a variable")
    asked = parser.parse_args()
    names = asked.dashboard or sorted(path.stem for path in _DASHBOARDS.glob("*.json"))
    asked.output.mkdir(parents=True, exist_ok=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, directory=str(_DASHBOARDS)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        for name in names:
            parameters = {
                "dashboard": name, "prometheus": asked.prometheus,
                "seconds": asked.seconds, "scrape": asked.scrape,
                **{f"var-{one.partition('=')[0]}": one.partition("=")[2] for one in asked.var},
            }  # fmt: skip
            query = urllib.parse.urlencode(parameters)
            page = f"http://127.0.0.1:{server.server_port}/preview/preview.html?{query}"
            _picture(page, asked.output / f"{name}{asked.suffix}.png", asked.rows or _rows(name))
    finally:
        server.shutdown()


def _rows(name: str) -> int:
    panels = json.loads((_DASHBOARDS / f"{name}.json").read_text())["panels"]
    last: int = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    return last


def _picture(page: str, path: Path, rows: int) -> None:
    height = _HEADER + rows * _CELL
    with tempfile.TemporaryDirectory(prefix="preview-") as profile:
        subprocess.run(
            ["chromium", *_QUIET, f"--user-data-dir={profile}", f"--screenshot={path}",
             f"--window-size={_WIDTH},{height}", "--virtual-time-budget=30000", page],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    # Few colours are used, and a picture in a repository is small.
    subprocess.run(["convert", path, "+dither", "-colors", "64", f"PNG8:{path}"], check=True)


if __name__ == "__main__":
    main()
