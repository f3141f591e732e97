"""Server: who has its connections, what is left open, who waits for whom."""

from __future__ import annotations

from collections.abc import Iterator

from grafana_foundation_sdk.builders import dashboard as builders

from dashboards.builder import queries as q
from dashboards.builder.found import findings
from dashboards.builder.frame import fill, marks_of, page
from dashboards.builder.panels import (
    ANY,
    HINT,
    ORANGE,
    RED,
    Column,
    Panel,
    Query,
    heat,
    lines,
    numbers,
    rows,
)
from dashboards.builder.selection import select
from pg_pool_exporter.metrics import catalogue as c

_SESSIONS = "server, database, user, application"
_STATES = select(c.SERVER_CONNECTIONS)
_TRANSACTIONS = select(c.SERVER_OLDEST_TRANSACTION)
_LIMITS = f"{select(c.SERVER_DATABASE_LIMIT)} or {select(c.SERVER_ROLE_LIMIT)}"


def dashboard() -> builders.Dashboard:
    made = page(
        "server", "Server",
        "A PostgreSQL server: connections by application and state against its limits, "
        "transactions left open, locks, demand against supply, timeouts.",
        shown=("server",),
    )  # fmt: skip
    return fill(
        made,
        marks_of(
            "server", "Connections by application", "Connections by state", "Waits and blockers"
        ),
        *_now(),
        findings(w=24, h=7),
        *_sessions(),
        "Ages, locks, limits",
        *_ages(),
        "Timeouts, sessions opened and refused",
        *_counts(),
        *_settings(),
        "Facts that the configuration switches on",
        *_facts(),
    )


def _now() -> Iterator[Panel]:
    yield numbers(
        "Slots used", "Of those that an ordinary role can have.",
        "percentunit", Query(q.SERVER_USE, "{{server}}"), steps=q.SERVER_SCALE, none="no data",
    )  # fmt: skip
    yield numbers(
        "Pools' demand", "Sum of the maxima of all pools that point at it, of its usable slots.",
        "percentunit",
        Query(
            f"max by (server) ({select(c.SERVER_POOLS_MAX)}) / max by (server) {q.USABLE}",
            "{{server}}",
        ),
        steps={1.0: RED}, none="unknown",
    )  # fmt: skip
    yield numbers(
        "Idle in transaction for", "Age of the oldest: a transaction that somebody left open.",
        "s", Query(f"max by (server) ({q.IDLE_IN_TRANSACTION})", "{{server}}"), steps=q.IDLE_SCALE,
    )  # fmt: skip
    yield numbers(
        "Waiting for locks", "Sessions that wait for a heavyweight lock.",
        "short", Query(f"sum by (server) ({select(c.SERVER_WAITING)})", "{{server}}"), steps=HINT,
    )  # fmt: skip
    yield numbers(
        "Blocking others", "Sessions that hold up another one's lock.",
        "short", Query(f"sum by (server) ({select(c.SERVER_BLOCKING)})", "{{server}}"), steps=ANY,
    )  # fmt: skip
    yield numbers(
        "Refused", "Attempts to connect that the server refused in the last hour, from its log.",
        "short",
        Query(f"round(sum by (server) (increase({select(c.SERVER_REFUSED)}[1h])))", "{{server}}"),
        steps=HINT, none="no log is read",
    )  # fmt: skip


def _sessions() -> Iterator[Panel]:
    limit = Query(q.near(f"sum {q.USABLE}", f"sum({_STATES})"), "usable by ordinary roles")
    for key in ("application", "state"):
        yield lines(
            f"Connections by {key}",
            f"Client sessions by {key}. The slots that ordinary roles can have are drawn while "
            "half of them are in use.",
            "short", Query(q.total(_STATES, key), f"{{{{{key}}}}}"), limit,
            w=12, h=8, stack=("^(?!usable).*",), limit="usable.*",
        )  # fmt: skip
    yield rows(
        "Who has them, the oldest state first",
        "Sessions in groups. A group that is idle in transaction for long holds locks and keeps "
        "VACUUM from cleaning; end it: SELECT pg_terminate_backend(pid) FROM pg_stat_activity ….",
        {
            "A": f"max by ({_SESSIONS}, state) ({select(c.SERVER_OLDEST_STATE)})",
            "B": q.total(_STATES, f"{_SESSIONS}, state"),
        },
        [
            Column("server", "Server"),
            Column("application", "Application"),
            Column("database", "Database"),
            Column("user", "User"),
            Column("state", "State"),
            Column("B", "Sessions", width=90),
            Column("A", "Oldest", "s", width=100),
        ],
        w=14, h=8, by="Oldest",
    )  # fmt: skip
    yield rows(
        "Who waits for a lock, who holds it",
        "Sessions that wait, for how long, and sessions that hold up others.",
        {
            "A": q.total(select(c.SERVER_WAITING), _SESSIONS) + " > 0",
            "B": f"max by ({_SESSIONS}) ({q.LOCK_AGES})",
            "C": q.total(select(c.SERVER_BLOCKING), _SESSIONS) + " > 0",
            "D": f"max by ({_SESSIONS}) ({_TRANSACTIONS}) and "
            f"({q.total(select(c.SERVER_BLOCKING), _SESSIONS)} > 0)",
        },
        [
            Column("server", "Server"),
            Column("application", "Application"),
            Column("A", "Wait", steps=HINT, width=70),
            Column("B", "Longest wait", "s", width=110),
            Column("C", "Block", steps=ANY, width=70),
            Column("D", "Transaction open for", "s", width=150),
        ],
        w=10, h=8, by="Block", none="nobody waits for a lock",
    )  # fmt: skip


def _ages() -> Iterator[Panel]:
    yield lines(
        "Transactions left open",
        "Age of the oldest session that is idle in a transaction, by application.",
        "s", Query(f"max by (server, application) ({q.IDLE_IN_TRANSACTION})", "{{application}}"),
        Query(
            f"{q.threshold_lines('idle_in_transaction')} and on () {q.IDLE_IN_TRANSACTION}",
            "threshold {{app}}",
        ),
        limit="threshold.*", limit_colour=ORANGE, none="none is open",
    )  # fmt: skip
    yield lines(
        "Oldest transaction, by application", "Whatever its state.",
        "s", Query(f"max by (server, application) ({_TRANSACTIONS})", "{{application}}"),
    )  # fmt: skip
    yield lines(
        "Oldest idle session, by application",
        "Longer than any pool keeps one idle: unused, or checked out and never returned.",
        "s",
        Query(
            f"max by (server, application) ({select(c.SERVER_OLDEST_STATE, state='idle')})",
            "{{application}}",
        ),
    )  # fmt: skip
    yield lines(
        "Waits and blockers", "Sessions that wait for a heavyweight lock, and that hold up others.",
        "short",
        Query(f"sum by (server) ({select(c.SERVER_WAITING)})", "waiting {{server}}"),
        Query(f"sum by (server) ({select(c.SERVER_BLOCKING)})", "blocking {{server}}"),
    )  # fmt: skip
    yield lines(
        "Longest wait for a lock", "By application.",
        "s", Query(f"max by (server, application) ({q.LOCK_AGES})", "{{application}}"),
        none="nobody waits for a lock",
    )  # fmt: skip
    yield lines(
        "Limits of databases and roles",
        "Sessions, of the CONNECTION LIMIT of their database or role, where one is set.",
        "percentunit",
        Query(
            f"sum by (server, database) ({_STATES}) / on (server, database) "
            f"max by (server, database) ({select(c.SERVER_DATABASE_LIMIT)})",
            "database {{database}}",
        ),
        Query(
            f"sum by (server, user) ({_STATES}) / on (server, user) "
            f"max by (server, user) ({select(c.SERVER_ROLE_LIMIT)})",
            "role {{user}}",
        ),
        *(
            Query(f"{q.threshold(name)} and on () ({_LIMITS})", word)
            for word, name in (("warning", "server_utilisation"), ("problem", "server_full"))
        ),
        limit="warning|problem", colours={"warning": ORANGE}, top=1, none="no limit is set",
    )  # fmt: skip


def _counts() -> Iterator[Panel]:
    yield lines(
        "Timeouts, from the server's log", "By kind and second.",
        "cps", Query(q.rate(select(c.SERVER_TIMEOUTS), "kind"), "{{kind}}"),
        none="no log is read",
    )  # fmt: skip
    yield lines(
        "Sessions opened and closed",
        "From the log, and from PostgreSQL's own count (14 and later). By second. A high rate is "
        "an application without a pool, or one that is too eager.",
        "cps",
        Query(f"sum(rate({select(c.SERVER_OPENED)}[$__rate_interval]))", "opened"),
        Query(f"sum(rate({select(c.SERVER_CLOSED)}[$__rate_interval]))", "closed"),
        Query(f"sum(rate({select(c.SERVER_SESSIONS)}[$__rate_interval]))", "counted"),
    )  # fmt: skip
    yield lines(
        "Refused, ended, dead-locked",
        "Attempts to connect that were refused, sessions that did not end by themselves, "
        "dead-locks, and from PostgreSQL 19 long waits for locks. By second.",
        "cps",
        Query(q.rate(select(c.SERVER_REFUSED), "reason"), "refused: {{reason}}"),
        Query(q.rate(select(c.SERVER_SESSIONS_ENDED), "reason"), "ended: {{reason}}"),
        Query(q.rate(select(c.SERVER_LOCK_WAITS), "lock_type"), "long lock waits: {{lock_type}}"),
        Query(f"sum(rate({select(c.SERVER_DEADLOCKS)}[$__rate_interval]))", "dead-locks"),
    )  # fmt: skip


def _settings() -> Iterator[Panel]:
    yield rows(
        "Timeouts that are set",
        "Server-wide; 0 is off. idle_in_transaction_session_timeout ends transactions that were "
        "left open.",
        {"A": f"max by (server, setting) ({select(c.SERVER_TIMEOUT_SETTING)})"},
        [Column("server", "Server"), Column("setting", "Setting"), Column("A", "Value", "s")],
        w=12, h=7,
    )  # fmt: skip
    yield rows(
        "Timeouts by database and role", "What ALTER DATABASE and ALTER ROLE have set.",
        {
            "A": f"max by (server, database, user, setting) ({select(c.SERVER_TIMEOUT_OVERRIDE)})"
        },
        [
            Column("server", "Server"),
            Column("database", "Database"),
            Column("user", "Role"),
            Column("setting", "Setting"),
            Column("A", "Value", "s"),
        ],
        w=12, h=7,
    )  # fmt: skip


def _facts() -> Iterator[Panel]:
    yield lines(
        "Connections by network",
        "Client sessions by network of their address; local: unix sockets.",
        "short", Query(q.total(select(c.SERVER_NETWORKS), "network"), "{{network}}"),
        w=12, h=8, stack=(".*",), none="facts: client_networks is off",
    )  # fmt: skip
    yield lines(
        "What working sessions wait for",
        "Active client sessions by type of wait event; none: they compute.",
        "short",
        Query(
            q.total(select(c.SERVER_WAIT_EVENTS, state="active"), "wait_event_type"),
            "{{wait_event_type}}",
        ),
        w=12, h=8, stack=(".*",), none="facts: wait_events is off, or nobody works",
    )  # fmt: skip
    yield heat(
        "Idle in transaction, by how long",
        "Sessions that are idle in a transaction, by how long they have been.",
        Query(f"sum by (le) ({select(c.SERVER_IDLE_IN_TRANSACTION, '_bucket')})", "{{le}}"),
    )  # fmt: skip
    yield lines(
        "Who holds the oldest snapshot",
        "Age in transactions, by application, replication slot or prepared transaction: VACUUM "
        "keeps all rows that were removed since.",
        "short",
        Query(
            f"max by (server, holder, application) ({select(c.SERVER_SNAPSHOTS)})",
            "{{holder}} {{application}}",
        ),
        w=12, h=8, none="facts: snapshots is off, or nobody holds one",
    )  # fmt: skip
