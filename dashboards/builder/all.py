"""All dashboards as the text of their files."""

from __future__ import annotations

import json

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards.builder import exporter, fleet, pool, server

_BUILT = {
    "fleet": fleet.dashboard,
    "pool": pool.dashboard,
    "server": server.dashboard,
    "exporter": exporter.dashboard,
}


def documents() -> dict[str, str]:
    """The JSON of each dashboard, by the name of its file without the ending."""
    return {
        name: json.dumps(build().build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"
        for name, build in _BUILT.items()
    }
