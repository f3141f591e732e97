"""What each picture shows, as a digest: a test compares it with what is there now."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from inspect import getsource

from dashboards.preview.serve import bottom, first_screen
from pg_pool_exporter import __version__
from pg_pool_exporter.commands.demo.shop import show_report
from pg_pool_exporter.web.page import Place, document
from support.both_sides import BothSides
from support.rule_files import ALERTS, ROOT
from tools.pictures.cards import FIXED, STYLE

IMAGES = ROOT / "docs/images"
RECORD = IMAGES / "shown.json"
DASHBOARDS = ("fleet", "pool", "server", "bouncer", "exporter")
ALERT = "PgPoolLeak"
_PREVIEW = ("preview.html", "preview.js", "panels.js", "query.js", "format.js")


def digests() -> dict[str, str]:
    """By the names of the pictures."""
    page, pool = _page(), _dashboard("pool")
    return {
        "page.png": _digest(page),
        **{f"{name}.png": _digest(_dashboard(name)) for name in DASHBOARDS},
        "pool-leaks.png": _digest(pool),
        "leak-1-rises.png": _digest(pool),
        "leak-2-line.png": _digest(page),
        "leak-3-alert.png": _digest(json.dumps(ALERTS[ALERT].annotations, sort_keys=True), STYLE),
        "leak-4-fix.png": _digest(getsource(show_report), FIXED, STYLE),
        "leak-5-recovered.png": _digest(pool),
    }


def stale() -> list[str]:
    """Pictures that show what is no longer so, or are missing."""
    recorded = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    return [
        name
        for name, digest in digests().items()
        if recorded.get(name) != digest or not (IMAGES / name).exists()
    ]


def write() -> None:
    """Record that all pictures are of now."""
    RECORD.write_text(json.dumps(digests(), indent=2, sort_keys=True) + "\n")


def _dashboard(name: str) -> str:
    """The panels of its first screen, its variables, and what draws them."""
    made = json.loads((ROOT / f"dashboards/{name}.json").read_text())
    height = first_screen(name)
    panels = [panel for panel in made["panels"] if bottom(panel) <= height]
    shown = json.dumps([panels, made["templating"], made["annotations"]], sort_keys=True)
    preview = (ROOT / "dashboards/preview" / one for one in _PREVIEW)
    return "".join([shown, *(path.read_text() for path in preview)])


def _page() -> str:
    """The page of a pool that leaks from its head to its pools, with the style of that; without
    the version.
    """
    sides = BothSides()
    sides.pool(1, 8, waiting=2, leaked_slots={"shop.py:40 show_report": 6})
    sides.server({"idle": [5.0] * 9, "idle_in_transaction": [600.0]})
    sides.bouncer(5)
    place = Place(host="db", telemetry_path="/metrics", findings_path="/api/v1/findings")
    text = document(sides.analysis, 1.7e9, place=place, refresh=False).decode()
    _, _, body = text.replace(__version__, "").partition("<body>")
    shown = body[: body.index("</section>", body.index('<section id="pools"'))]
    used = set(re.findall(r"[\w-]+", " ".join(re.findall(r'class="([^"]*)"', shown))))
    rules = re.findall(r"[^{}]+{[^{}]*}", text[text.index("<style>") : text.index("</style>")])
    style = [
        rule
        for rule in rules
        if used.issuperset(re.findall(r"\.([a-z][\w-]*)", rule.partition("{")[0]))
    ]
    return "".join([shown, *style])


def _digest(*parts: str) -> str:
    return sha256("\0".join(parts).encode()).hexdigest()[:16]
