"""Fleet: which pool is worst, what is firing, how long until the next one is full."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as builders

from dashboards.builder import queries as q
from dashboards.builder.alerts import firing
from dashboards.builder.found import findings
from dashboards.builder.frame import ALERTS, Marks, fill, page, to_pool, to_server
from dashboards.builder.panels import (
    ANY,
    GREEN,
    HINT,
    ORANGE,
    RED,
    SOON,
    Column,
    Panel,
    Query,
    lines,
    mapped,
    numbers,
    rows,
)
from dashboards.builder.selection import select
from pg_pool_exporter.metrics import catalogue as c

_POOL_LINK = to_pool("${__data.fields.App}", "${__data.fields.Pool}")
_SERVER_LINK = to_server("${__data.fields.Server}")


def dashboard() -> builders.Dashboard:
    made = page(
        "fleet", "Fleet",
        "All pools and servers: the worst first, what is firing, when the next pool is full.",
        shown=("app", "pool", "server"),
    )  # fmt: skip
    return fill(
        made,
        Marks(ALERTS, ("Utilisation of each pool", "Requests waiting")),
        *_summary(),
        findings(w=14, h=7),
        firing(
            "Firing alerts",
            "Since when each alert's condition has held, the critical first. Its name leads to "
            "its runbook.",
            ALERTS, about="Server or target", with_pool=True, w=10, h=7, none="nothing is firing",
        ),
        rows(
            "Pools, the worst first",
            "One row a pool. Click its name for what is wrong with it and what to do.",
            {
                "A": q.use(),
                "B": q.VERDICT,
                "C": q.total(q.ACTIVE),
                "D": q.total(q.MAX),
                "E": q.total(q.WAITING),
                "F": q.total(q.NOT_RETURNED),
                "G": q.seconds_to_saturation(),
                "H": q.worst_use(),
            },
            [
                Column("app", "App", link=_POOL_LINK),
                Column("pool", "Pool", link=_POOL_LINK),
                Column("B", "What is wrong", mappings=q.VERDICTS, width=140),
                Column("H", "Worst process", "percentunit", q.POOL_SCALE),
                Column("A", "Utilisation", "percentunit", q.POOL_SCALE),
                Column("C", "Active"),
                Column("D", "Max"),
                Column("E", "Waiting", steps=HINT),
                Column("F", "Not returned", steps=ANY),
                Column("G", "Full in", "s", SOON, q.NOW),
            ],
            w=24, h=9, by="Worst process",
        ),
        lines(
            "Utilisation of each pool",
            "Connections checked out, of the maximum. Pools without a known maximum are not here.",
            "percentunit",
            Query(q.use(), "{{app}} {{pool}}"),
            Query(q.threshold_lines("pool_utilisation"), "threshold {{app}} {{pool}}"),
            w=12, h=8, limit="threshold.*", limit_colour=ORANGE, top=1,
        ),
        lines(
            "Requests waiting",
            "Requests queued for a connection now, by pool.",
            "short", Query(q.total(q.WAITING), "{{app}} {{pool}}"), w=12, h=8,
        ),
        _servers(),
        lines(
            "Slots used of each server",
            "Sessions, of the slots that ordinary roles can have.",
            "percentunit",
            Query(q.SERVER_USE, "{{server}}"),
            Query(q.threshold("server_utilisation"), "warning"),
            Query(q.threshold("server_full"), "problem"),
            w=9, h=8, limit="warning|problem", colours={"warning": ORANGE}, top=1,
        ),
    )  # fmt: skip


def _summary() -> list[Panel]:
    down = f"{select(c.TARGET_UP)} == 0"
    return [
        numbers(
            "Pools nearly saturated",
            "How many pools have a process whose use is above the threshold pool_utilisation.",
            "short", Query(f"count({q.USED_POOLS}) or 0 * count({q.ACTIVE})"), steps=HINT,
        ),
        numbers(
            "Waiting now", "Requests queued for a connection, of all pools.",
            "short", Query(f"sum({q.WAITING})"), steps=HINT,
        ),
        numbers(
            "Not returned", "Connections that are certainly leaked, or overdue, by line of code.",
            "short", Query(f"sum({q.NOT_RETURNED}) or 0 * count({q.ACTIVE})"), steps=ANY,
        ),
        numbers(
            "Next pool full in",
            "The soonest of those that fill, at the pace of the last hour.",
            "s", Query(f"min({q.seconds_to_saturation()})"), steps=SOON, none="not in sight",
            mappings=q.NOW,
        ),
        numbers(
            "Servers nearly full",
            "How many servers have more of what ordinary roles can have in use than the threshold "
            "server_utilisation.",
            "short", Query(f"count({q.USED_SERVERS}) or 0 * count({select(c.SERVER_UP)})"),
            steps=HINT,
        ),
        numbers(
            "Targets down", "Servers and processes that could not be polled the last time.",
            "short", Query(f"count({down}) or 0 * count({select(c.TARGET_UP)})"), steps=ANY,
        ),
    ]  # fmt: skip


def _servers() -> Panel:
    return rows(
        "Servers, the fullest first",
        "One row a server. Demand is the sum of the maxima of all pools that point at it.",
        {
            "A": q.SERVER_USE,
            "B": f"max by (server) ({select(c.SERVER_UP)})",
            "C": f"max by (server) ({select(c.SERVER_USED)})",
            "D": f"max by (server) {q.USABLE}",
            "E": f"max by (server) ({select(c.SERVER_POOLS_MAX)})",
            "F": f"max by (server) ({q.IDLE_IN_TRANSACTION})",
            "G": f"sum by (server) ({select(c.SERVER_WAITING)})",
        },
        [
            Column("server", "Server", link=_SERVER_LINK),
            Column("B", "State", mappings=mapped({0: ("down", RED), 1: ("up", GREEN)})),
            Column("A", "Utilisation", "percentunit", q.SERVER_SCALE),
            Column("C", "Used"),
            Column("D", "Usable"),
            Column("E", "Pools' demand"),
            Column("F", "Idle in transaction for", "s", q.IDLE_SCALE),
            Column("G", "Waiting for locks", steps=HINT),
        ],
        w=15, h=8, by="Utilisation",
    )  # fmt: skip
