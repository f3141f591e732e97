"""All dashboards as the text of their files."""

from __future__ import annotations

import json

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models

from dashboards.builder import bouncer, exporter, fleet, pool, server

_BUILT = {
    "fleet": fleet.dashboard,
    "pool": pool.dashboard,
    "server": server.dashboard,
    "bouncer": bouncer.dashboard,
    "exporter": exporter.dashboard,
}


def documents() -> dict[str, str]:
    """The JSON of each dashboard, by the name of its file without the ending."""
    return {name: _text(build().build()) for name, build in _BUILT.items()}


def _text(dashboard: models.Dashboard) -> str:
    document = json.loads(json.dumps(dashboard, cls=JSONEncoder))
    # The library puts links and annotations into a menu, where nobody sees them.
    for shown in (*document["links"], *document["annotations"]["list"]):
        del shown["placement"]
    # And it has defaults that Grafana's own schema doesn't know.
    for variable in document["templating"]["list"]:
        for name in ("auto", "auto_count", "auto_min"):
            del variable[name]
    for panel in document["panels"]:
        panel.get("options", {}).pop("footer", None)
    return json.dumps(document, indent=2, sort_keys=True) + "\n"
