"""All dashboards as the text of their files."""

from __future__ import annotations

import json

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models

from dashboards.builder import exporter, fleet, pool, server

_BUILT = {
    "fleet": fleet.dashboard,
    "pool": pool.dashboard,
    "server": server.dashboard,
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
    return json.dumps(document, indent=2, sort_keys=True) + "\n"
