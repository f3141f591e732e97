"""The table of what the exporter finds."""

from __future__ import annotations

from dashboards.builder import queries as q
from dashboards.builder.frame import to_pool, to_server
from dashboards.builder.panels import ANY, Column, Panel, rows


def findings(*, w: int, h: int) -> Panel:
    """Those about what is selected, the worst and largest first."""
    return rows(
        "Findings",
        "What the exporter finds wrong, the problems first; page, doctor and alerts say the same. "
        "Amount: connections, requests or sessions that it is about, 1 for one thing that is down.",
        {"A": q.FINDINGS},
        [
            Column("severity", "Severity", mappings=q.FOUND, width=80),
            Column("cause", "Cause", width=170),
            Column("app", "App"),
            Column("pool", "Pool", link=to_pool("${__data.fields.App}", "${__data.fields.Pool}")),
            Column("server", "Server", link=to_server("${__data.fields.Server}")),
            Column("target", "Target"),
            Column("A", "Amount", width=80),
        ],
        w=w, h=h, rising="Severity", by="Amount", none="nothing is wrong, or no exporter judges",
    )  # fmt: skip


def blamed(*, w: int, h: int) -> Panel:
    """The lines of code that findings blame, those with the most connections first."""
    return rows(
        "Lines to blame",
        "The lines of code that findings name, with the connections for which each is to blame. "
        "None where it is unknown which of several lines it is.",
        {"A": q.BLAMED},
        [
            Column("cause", "Cause", width=150),
            Column("app", "App", width=110),
            Column("site", "Line of code"),
            Column("A", "Connections", steps=ANY, width=100),
        ],
        w=w, h=h, by="Connections", none="no line is blamed",
    )  # fmt: skip


def findings_of_bouncers(*, w: int, h: int) -> Panel:
    """Those about the selected bouncers, the worst and largest first."""
    return rows(
        "Findings",
        "What the exporter finds wrong at bouncers, the problems first. Amount: connections or "
        "clients that it is about, 1 for one thing that is paused or down.",
        {"A": q.FINDINGS_OF_BOUNCERS},
        [
            Column("severity", "Severity", mappings=q.FOUND, width=80),
            Column("cause", "Cause", width=220),
            Column("bouncer", "Bouncer"),
            Column("database", "Database"),
            Column("user", "User"),
            Column("app", "Application"),
            Column("A", "Amount", width=80),
        ],
        w=w, h=h, rising="Severity", by="Amount", none="nothing is wrong, or no exporter judges",
    )  # fmt: skip
