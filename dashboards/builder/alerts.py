"""The table of the alerts that are firing."""

from __future__ import annotations

from dashboards.builder import queries as q
from dashboards.builder.panels import Column, Panel, rows


def firing(
    title: str, description: str, alerts: str, *, about: str, with_pool: bool, w: int, h: int,
    none: str,
) -> Panel:  # fmt: skip
    """The firing ones of `alerts` (matchers), the critical first, the latest of them first.

    `about` is the title of the column with the server, bouncer or target.
    """
    return rows(
        title,
        description,
        {"A": q.firing_since(alerts)},
        [
            Column("alertname", "Alert", link=q.RUNBOOK),
            Column("severity", "Severity", mappings=q.SEVERITIES, width=75),
            Column("whose", "App", width=95),
            *([Column("pool", "Pool", width=60)] if with_pool else []),
            Column("about", about, width=105 if with_pool else 70),
            Column("A", "Since", "dateTimeFromNow", width=90),
            Column("runbooks", "Runbooks", hidden=True),
        ],
        w=w, h=h, rising="Severity", by="Since", none=none,
    )  # fmt: skip
