"""Bouncer: whose clients wait, who has the connections, and how long everything takes."""

from __future__ import annotations

from collections.abc import Iterator

from grafana_foundation_sdk.builders import dashboard as builders

from dashboards.builder import queries as q
from dashboards.builder.found import findings_of_bouncers
from dashboards.builder.frame import fill, marks_of, page
from dashboards.builder.panels import (
    ANY,
    HINT,
    ORANGE,
    USE,
    Column,
    Panel,
    Query,
    lines,
    numbers,
    rows,
)
from dashboards.builder.selection import select
from pg_pool_exporter.metrics import catalogue as c

_POOL = "bouncer, database, user"
_CLIENTS = f"{_POOL}, application"
_DATABASE = "bouncer, database"
_NONE = "no bouncer is watched"


def dashboard() -> builders.Dashboard:
    made = page(
        "bouncer", "Bouncer",
        "PgBouncer: clients that wait and why, who keeps the connections to the server, how long "
        "transactions, queries and waits are, limits.",
        shown=("bouncer",),
    )  # fmt: skip
    return fill(
        made,
        marks_of("bouncer", "Utilisation of the pools", "Waiting by application"),
        *_now(),
        findings_of_bouncers(w=24, h=7),
        *_pools(),
        "Clients by application",
        *_applications(),
        "How long it takes",
        *_times(),
        "Traffic and limits",
        *_limits(),
    )


def _now() -> Iterator[Panel]:
    yield numbers(
        "Clients waiting", "For a connection to the server.",
        "short",
        Query(q.total(select(c.BOUNCER_CLIENTS, state="waiting"), "bouncer"), "{{bouncer}}"),
        steps=HINT, none=_NONE,
    )  # fmt: skip
    yield numbers(
        "Longest wait", "Of the clients that wait now.",
        "s", Query(f"max by (bouncer) ({select(c.BOUNCER_OLDEST_WAITING)})", "{{bouncer}}"),
        steps=q.BOUNCER_WAIT_SCALE, none="nobody waits",
    )  # fmt: skip
    yield numbers(
        "Fullest pool", "Connections in use by clients, of the pool's size and its reserve.",
        "percentunit", Query(f"max by (bouncer) ({_use()})", "{{bouncer}}"),
        steps=USE, none="no limit",
    )  # fmt: skip
    yield numbers(
        "Clients", "Of max_client_conn.",
        "percentunit",
        Query(
            f"max by (bouncer) ({select(c.BOUNCER_CLIENT_CONNECTIONS)} / "
            f"{select(c.BOUNCER_MAX_CLIENTS)})",
            "{{bouncer}}",
        ),
        steps=q.SERVER_SCALE, none=_NONE,
    )  # fmt: skip
    yield numbers(
        "Paused or disabled",
        "Databases that somebody stopped, and one more where all of the bouncer is: PgBouncer "
        "shows that from 1.19 on.",
        "short", Query(_stopped(), "{{bouncer}}"),
        steps=ANY, none="unknown",
    )  # fmt: skip
    yield numbers(
        "Up", "1 if the exporter reads it.",
        "short", Query(f"min by (bouncer) ({select(c.BOUNCER_UP)})", "{{bouncer}}"), none=_NONE,
    )  # fmt: skip


def _use() -> str:
    active = q.total(select(c.BOUNCER_CONNECTIONS, state="active"), _POOL)
    size = f"max by ({_POOL}) ({select(c.BOUNCER_POOL_SIZE)})"
    reserve = f"max by ({_POOL}) ({select(c.BOUNCER_RESERVE_POOL_SIZE)})"
    return f"{active} / on ({_POOL}) ({size} + {reserve} or {size})"


def _stopped() -> str:
    databases = (
        f"sum by (bouncer) ({select(c.BOUNCER_DATABASE_PAUSED)}) + "
        f"sum by (bouncer) ({select(c.BOUNCER_DATABASE_DISABLED)})"
    )
    # All of it may be paused without its databases being shown so.
    whole = f"max by (bouncer) ({select(c.BOUNCER_PAUSED)})"
    return f"({databases}) + {whole} or {databases}"


def _pools() -> Iterator[Panel]:
    yield rows(
        "Pools", "One row a database and user. Waiting clients have no connection.",
        {
            "A": q.total(select(c.BOUNCER_CLIENTS), _POOL),
            "B": q.total(select(c.BOUNCER_CLIENTS, state="waiting"), _POOL),
            "C": q.total(select(c.BOUNCER_CONNECTIONS, state="active"), _POOL),
            "D": q.total(select(c.BOUNCER_CONNECTIONS, state="idle"), _POOL),
            "E": f"max by ({_POOL}) ({select(c.BOUNCER_POOL_SIZE)})",
            "F": f"max by ({_POOL}) ({select(c.BOUNCER_OLDEST_WAITING)})",
        },
        [
            Column("bouncer", "Bouncer"),
            Column("database", "Database"),
            Column("user", "User"),
            Column("A", "Clients"),
            Column("B", "Waiting", steps=HINT),
            Column("F", "Longest wait", "s"),
            Column("C", "Active"),
            Column("D", "Idle"),
            Column("E", "Size"),
        ],
        w=12, h=8, by="Waiting", none=_NONE,
    )  # fmt: skip
    yield lines(
        "Utilisation of the pools",
        "Connections in use by clients, of each pool's size and its reserve.",
        "percentunit", Query(_use(), "{{bouncer}} {{database}} {{user}}"),
        w=6, h=8, steps=USE, top=1, none=_NONE,
    )  # fmt: skip
    yield lines(
        "Connections to servers", "By state, all pools together.",
        "short", Query(q.total(select(c.BOUNCER_CONNECTIONS), "state"), "{{state}}"),
        w=6, h=8, stack=(".*",), none=_NONE,
    )  # fmt: skip


def _applications() -> Iterator[Panel]:
    yield rows(
        "Applications",
        "Active clients have a connection to the server. Oldest request: it runs, or the client "
        "keeps the connection and does nothing.",
        {
            "A": q.total(select(c.BOUNCER_CLIENTS, state="waiting"), _CLIENTS),
            "B": q.total(select(c.BOUNCER_CLIENTS, state="active"), _CLIENTS),
            "C": q.total(select(c.BOUNCER_CLIENTS, state="idle"), _CLIENTS),
            "D": f"max by ({_CLIENTS}) ({select(c.BOUNCER_CLIENT_OLDEST_ACTIVE)})",
            "E": f"max by ({_CLIENTS}) ({select(c.BOUNCER_CLIENT_OLDEST_WAITING)})",
        },
        [
            Column("bouncer", "Bouncer"),
            Column("database", "Database"),
            Column("user", "User"),
            Column("application", "Application"),
            Column("A", "Waiting", steps=HINT),
            Column("E", "Longest wait", "s"),
            Column("B", "Active"),
            Column("D", "Oldest request", "s"),
            Column("C", "Idle"),
        ],
        w=12, h=8, by="Waiting", none=_NONE,
    )  # fmt: skip
    for state in ("waiting", "active"):
        yield lines(
            f"{state.capitalize()} by application", "By application.",
            "short",
            Query(
                q.total(select(c.BOUNCER_CLIENTS, state=state), "application"), "{{application}}"
            ),
            w=6, h=8, stack=(".*",), none=_NONE,
        )  # fmt: skip


def _times() -> Iterator[Panel]:
    for title, text, seconds, count in (
        ("Transaction", "Mean time of a transaction, the wait for a connection included.",
         c.BOUNCER_TRANSACTION_TIME, c.BOUNCER_TRANSACTIONS),
        ("Query", "Mean time of a query, the wait for a connection included.",
         c.BOUNCER_QUERY_TIME, c.BOUNCER_QUERIES),
    ):  # fmt: skip
        yield lines(
            title, text, "s",
            Query(
                f"{q.rate(select(seconds), _DATABASE)} / {q.rate(select(count), _DATABASE)}",
                "{{bouncer}} {{database}}",
            ),
            none="nothing runs",
        )  # fmt: skip
    yield lines(
        "Waiting", "Time that clients spent waiting, by second: how many wait on average.",
        "short", Query(q.rate(select(c.BOUNCER_WAIT), _DATABASE), "{{bouncer}} {{database}}"),
        none=_NONE,
    )  # fmt: skip


def _limits() -> Iterator[Panel]:
    clients = q.total(select(c.BOUNCER_CLIENT_CONNECTIONS), "bouncer")
    yield lines(
        "Transactions", "Of each database, by second.",
        "short",
        Query(q.rate(select(c.BOUNCER_TRANSACTIONS), _DATABASE), "{{bouncer}} {{database}}"),
        none=_NONE,
    )  # fmt: skip
    yield lines(
        "Bytes", "From and to clients, by second.",
        "Bps",
        Query(q.rate(select(c.BOUNCER_RECEIVED), "bouncer"), "{{bouncer}} received"),
        Query(q.rate(select(c.BOUNCER_SENT), "bouncer"), "{{bouncer}} sent"),
        none=_NONE,
    )  # fmt: skip
    yield lines(
        "Clients against the limit",
        "All clients. max_client_conn is drawn while half of it is in use.",
        "short",
        Query(clients, "{{bouncer}}"),
        Query(
            q.near(q.total(select(c.BOUNCER_MAX_CLIENTS), "bouncer"), clients),
            "limit of {{bouncer}}",
        ),
        limit="limit.*", limit_colour=ORANGE, none=_NONE,
    )  # fmt: skip
