"""What admin consoles show, by version and product.

PgBouncer 1.18, 1.24 and 1.26 are recorded from Debian's packages. All others are written by hand
and have not been run: PgBouncer's after its src/admin.c and its list of changes; Odyssey, PgCat and
PgDog after what is published of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pg_pool_exporter.model import BouncerDatabase, BouncerPool, BouncerPoolKey, BouncerUser
from pg_pool_exporter.sources.pgbouncer.answers import Answers, Rows

_SHOP = BouncerPoolKey("shop", "app")


def rows(header: str, *lines: str) -> Rows:
    """A table as psql prints it. `-` stands for NULL."""
    columns = [cell.strip() for cell in header.split("|")]
    table = [[cell.strip(" ") for cell in line.split("|")] for line in lines]
    return [
        {c: None if cell == "-" else cell for c, cell in zip(columns, line, strict=True)}
        for line in table
    ]


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What a console shows, and what is read of it."""

    id: str
    version: str
    answers: Answers
    pools: dict[BouncerPoolKey, BouncerPool] = field(default_factory=dict)
    databases: dict[str, BouncerDatabase] = field(default_factory=dict)
    users: dict[str, BouncerUser] = field(default_factory=dict)


CONSOLES = [
    Recorded(
        id="pgbouncer-1.12",
        version="PgBouncer 1.12.0",
        answers=Answers(
            console="pgbouncer",
            pools=rows(
                "database | user | cl_active | cl_waiting | sv_active | sv_idle | sv_used"
                " | sv_tested | sv_login | maxwait | maxwait_us | pool_mode",
                "pgbouncer | pgbouncer | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | statement",
                "shop | app | 5 | 2 | 3 | 1 | 1 | 1 | 1 | 3 | 250000 | session",
            ),
            databases=rows(
                "name | host | port | database | force_user | pool_size | reserve_pool | pool_mode"
                " | max_connections | current_connections | paused | disabled",
                "pgbouncer | - | 6432 | pgbouncer | pgbouncer | 2 | 0 | statement | 0 | 0 | 0 | 0",
                "shop | db | 5432 | postgres | - | 20 | 5 | - | 0 | 7 | 0 | 1",
            ),
            stats=rows(
                "database | total_xact_count | total_query_count | total_received | total_sent"
                " | total_xact_time | total_query_time | total_wait_time | avg_xact_count"
                " | avg_query_count | avg_recv | avg_sent | avg_xact_time | avg_query_time"
                " | avg_wait_time",
                "pgbouncer | 1 | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0",
                "shop | 10 | 30 | 700 | 900 | 4000000 | 3000000 | 1500000 | 0 | 0 | 0 | 0 | 0 | 0"
                " | 0",
            ),
        ),
        pools={
            _SHOP: BouncerPool(
                connections={"idle": 2, "active": 3, "tested": 1, "login": 1},
                clients={"active": 5, "waiting": 2},
                oldest_waiting=3.25,
                size=20,
                reserve_size=5,
                mode="session",
            )
        },
        databases={
            "shop": BouncerDatabase(
                transactions=10,
                queries=30,
                transaction_time=4,
                query_time=3,
                wait=1.5,
                received=700,
                sent=900,
                connections=7,
                paused=False,
                disabled=True,
            )
        },
    ),
    Recorded(
        id="pgbouncer-1.16",
        version="PgBouncer 1.16.1",
        answers=Answers(
            console="pgbouncer",
            pools=rows(
                "database | user | cl_active | cl_waiting | cl_cancel_req | sv_active | sv_idle"
                " | sv_used | sv_tested | sv_login | maxwait | maxwait_us | pool_mode",
                "shop | app | 5 | 0 | 1 | 5 | 0 | 0 | 0 | 0 | 0 | 0 | session",
            ),
            databases=rows(
                "name | host | port | database | force_user | pool_size | min_pool_size"
                " | reserve_pool | pool_mode | max_connections | current_connections | paused"
                " | disabled",
                "shop | db | 5432 | postgres | - | 20 | 2 | 0 | - | 30 | 5 | 0 | 0",
            ),
        ),
        pools={
            _SHOP: BouncerPool(
                connections={"idle": 0, "active": 5, "tested": 0, "login": 0},
                clients={"active": 5, "waiting": 0, "cancel": 1},
                size=20,
                reserve_size=0,
                min_size=2,
                mode="session",
            )
        },
        databases={
            "shop": BouncerDatabase(connections=5, max_connections=30, paused=False, disabled=False)
        },
    ),
    Recorded(
        id="pgbouncer-1.18",
        version="PgBouncer 1.18.0",
        answers=Answers(
            console="pgbouncer",
            pools=rows(
                "database | user | cl_active | cl_waiting | cl_active_cancel_req"
                " | cl_waiting_cancel_req | sv_active | sv_active_cancel | sv_being_canceled"
                " | sv_idle | sv_used | sv_tested | sv_login | maxwait | maxwait_us | pool_mode",
                "pgbouncer | pgbouncer | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0"
                " | statement",
                "shop | app | 2 | 1 | 1 | 2 | 2 | 1 | 3 | 1 | 0 | 0 | 0 | 0 | 500 | session",
            ),
            databases=rows(
                "name | host | port | database | force_user | pool_size | min_pool_size"
                " | reserve_pool | pool_mode | max_connections | current_connections | paused"
                " | disabled",
                "shop | 127.0.0.1 | 6999 | postgres | - | 3 | 1 | 2 | - | 7 | 0 | 1 | 0",
                "pgbouncer | - | 6433 | pgbouncer | pgbouncer | 2 | 0 | 0 | statement | 0 | 0 | 0"
                " | 0",
            ),
            servers=rows(
                "type | user | database | state | addr | port | local_addr | local_port"
                " | connect_time | request_time | wait | wait_us | close_needed | ptr | link"
                " | remote_pid | tls | application_name",
                "S | app | shop | idle | 127.0.0.1 | 6999 | 127.0.0.1 | 40000"
                " | 2026-11-24 10:06:00 UTC | 2026-11-24 10:06:10 UTC | 0 | 0 | 0 | 0x560d | | 99"
                " | | psql",
            ),
            active_sockets=rows(
                "type | user | database | state | request_time",
                "C | stats | pgbouncer | cl_active | 2026-11-24 10:06:40 UTC",
            ),
        ),
        pools={
            _SHOP: BouncerPool(
                connections={"idle": 1, "active": 2, "tested": 0, "login": 0, "cancel": 4},
                clients={"active": 2, "waiting": 1, "cancel": 3},
                oldest_waiting=0.0005,
                oldest_idle=30,
                size=3,
                reserve_size=2,
                min_size=1,
                mode="session",
            )
        },
        databases={
            "shop": BouncerDatabase(connections=0, max_connections=7, paused=True, disabled=False)
        },
    ),
    Recorded(
        # SHOW USERS repeats the size of `app` for all that follow.
        id="pgbouncer-1.24",
        version="PgBouncer 1.24.1",
        answers=Answers(
            console="pgbouncer",
            pools=rows(
                "database | user | cl_active | cl_waiting | cl_active_cancel_req"
                " | cl_waiting_cancel_req | sv_active | sv_active_cancel | sv_being_canceled"
                " | sv_idle | sv_used | sv_tested | sv_login | maxwait | maxwait_us | pool_mode"
                " | load_balance_hosts",
                "other | reports | 1 | 0 | 0 | 0 | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | transaction"
                " | -",
                "pgbouncer | pgbouncer | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0"
                " | statement | -",
                "shop | app | 3 | 1 | 0 | 0 | 2 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 500000 | transaction"
                " | -",
            ),
            databases=rows(
                "name | host | port | database | force_user | pool_size | min_pool_size"
                " | reserve_pool_size | server_lifetime | pool_mode | load_balance_hosts"
                " | max_connections | current_connections | max_client_connections"
                " | current_client_connections | paused | disabled",
                "other | 127.0.0.1 | 19514 | postgres | - | 7 | 0 | 0 | 3600 | - | - | 0 | 1 | 0"
                " | 1 | 0 | 0",
                "pgbouncer | - | 26300 | pgbouncer | pgbouncer | 2 | 0 | 0 | 3600 | statement | -"
                " | 0 | 0 | 0 | 1 | 0 | 0",
                "shop | 127.0.0.1 | 19514 | postgres | - | 3 | 0 | 0 | 3600 | - | - | 9 | 2 | 40"
                " | 4 | 0 | 0",
            ),
            stats=rows(
                "database | total_server_assignment_count | total_xact_count | total_query_count"
                " | total_received | total_sent | total_xact_time | total_query_time"
                " | total_wait_time | total_client_parse_count | total_server_parse_count"
                " | total_bind_count",
                "other | 1 | 1 | 2 | 25 | 142 | 0 | 500000 | 250000 | 0 | 0 | 0",
                "pgbouncer | 0 | 4 | 4 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0",
                "shop | 2 | 3 | 5 | 50 | 284 | 0 | 6000000 | 7000000 | 6 | 7 | 8",
            ),
            users=rows(
                "name | pool_size | reserve_pool_size | pool_mode | max_user_connections"
                " | current_connections | max_user_client_connections"
                " | current_client_connections",
                "admin |  |  | - | 0 | 0 | 0 | 1",
                "app |         2 |  | - | 8 | 2 | 30 | 4",
                "pgbouncer |         2 |  | - | 0 | 0 | 0 | 0",
                "reports |         2 |  | - | 0 | 1 | 0 | 1",
                "stats |         2 |  | - | 0 | 0 | 0 | 0",
            ),
        ),
        pools={
            _SHOP: BouncerPool(
                connections={"idle": 0, "active": 2, "tested": 0, "login": 0, "cancel": 0},
                clients={"active": 3, "waiting": 1, "cancel": 0},
                oldest_waiting=0.5,
                size=2,
                reserve_size=0,
                min_size=0,
                mode="transaction",
            ),
            BouncerPoolKey("other", "reports"): BouncerPool(
                connections={"idle": 0, "active": 1, "tested": 0, "login": 0, "cancel": 0},
                clients={"active": 1, "waiting": 0, "cancel": 0},
                size=None,
                reserve_size=0,
                min_size=0,
                mode="transaction",
            ),
        },
        databases={
            "shop": BouncerDatabase(
                transactions=3,
                queries=5,
                transaction_time=0,
                query_time=6,
                wait=7,
                received=50,
                sent=284,
                assignments=2,
                client_parses=6,
                server_parses=7,
                binds=8,
                connections=2,
                max_connections=9,
                clients=4,
                max_clients=40,
                paused=False,
                disabled=False,
            ),
            "other": BouncerDatabase(
                transactions=1,
                queries=2,
                transaction_time=0,
                query_time=0.5,
                wait=0.25,
                received=25,
                sent=142,
                assignments=1,
                client_parses=0,
                server_parses=0,
                binds=0,
                connections=1,
                clients=1,
                paused=False,
                disabled=False,
            ),
        },
        users={
            "admin": BouncerUser(connections=0, clients=1),
            "app": BouncerUser(connections=2, max_connections=8, clients=4, max_clients=30),
            "reports": BouncerUser(connections=1, clients=1),
        },
    ),
    Recorded(
        # As before, but a user without a size of its own has none here.
        id="pgbouncer-1.26",
        version="PgBouncer 1.26.1",
        answers=Answers(
            console="pgbouncer",
            pools=rows(
                "database | user | cl_active | cl_waiting | sv_active | sv_idle | pool_mode",
                "shop | app | 1 | 0 | 1 | 0 | statement",
                "shop | reports | 1 | 0 | 1 | 0 | statement",
                "shop | zoe | 1 | 0 | 1 | 0 | statement",
            ),
            databases=rows(
                "name | pool_size | reserve_pool_size | current_client_connections",
                "shop | 20 | 5 | 2",
            ),
            stats=rows("database | total_client_login_count", "shop | 4"),
            users=rows(
                "name | pool_size | reserve_pool_size | pool_mode | max_user_connections"
                " | current_connections | max_user_client_connections"
                " | current_client_connections",
                "app |         4 |         0 | - | 0 | 1 | 0 | 1",
                "reports |         4 |  | - | 0 | 1 | 0 | 1",
                "zoe |  |  | - | 0 | 0 | 0 | 0",
            ),
        ),
        pools={
            BouncerPoolKey("shop", user): BouncerPool(
                connections={"idle": 0, "active": 1},
                clients={"active": 1, "waiting": 0},
                size=size,
                reserve_size=reserve,
                mode="statement",
            )
            for user, size, reserve in (("app", 4, 0), ("reports", 4, 5), ("zoe", 20, 5))
        },
        databases={"shop": BouncerDatabase(logins=4, clients=2)},
        users={
            "app": BouncerUser(connections=1, clients=1),
            "reports": BouncerUser(connections=1, clients=1),
        },
    ),
    Recorded(
        # A pool and a database for each route. What it always shows as 0 is not reported, nor are
        # its numbers of clients taken for those of connections, nor idle clients for waiting ones.
        # Its size is unlimited where it is 0.
        id="odyssey-1.3",
        version="1.3-b2f9c9f-Release",
        answers=Answers(
            console="console",
            pools=rows(
                "database | user | cl_active | cl_waiting | sv_active | sv_idle | sv_used"
                " | sv_tested | sv_login | maxwait | maxwait_us | pool_mode",
                "shop | app | 4 | 1 | 3 | 2 | 0 | 0 | 0 | 0 | 0 | transaction",
                "mail | app | 1 | 0 | 1 | 0 | 0 | 0 | 0 | 0 | 0 | transaction",
                "mail | root | 1 | 0 | 1 | 0 | 0 | 0 | 0 | 0 | 0 | transaction",
            ),
            databases=rows(
                "name | host | port | database | force_user | pool_size | reserve_pool | pool_mode"
                " | max_connections | current_connections | paused | disabled",
                "shop | db | 5432 | shop | | 0 | 0 | transaction | 100 | 5 | 0 | 0",
                "mail | db | 5432 | mail | | 10 | 0 | transaction | 100 | 1 | 0 | 0",
                "mail | db | 5432 | mail | | 5 | 0 | transaction | 100 | 1 | 0 | 0",
            ),
            stats=rows(
                "database | total_xact_count | total_query_count | total_wait_time",
                "shop | 10 | 30 | 0",
            ),
            servers=rows(
                "type | user | database | state | request_time", "S | app | shop | idle | -"
            ),
        ),
        pools={
            _SHOP: BouncerPool(
                connections={"idle": 2, "active": 3}, clients={"active": 4}, mode="transaction"
            ),
            **{
                BouncerPoolKey("mail", user): BouncerPool(
                    connections={"idle": 0, "active": 1}, clients={"active": 1}, mode="transaction"
                )
                for user in ("app", "root")
            },
        },
        databases={
            "shop": BouncerDatabase(transactions=10, queries=30),
            "mail": BouncerDatabase(transactions=0, queries=0),
        },
    ),
    Recorded(
        # Its databases are single servers of a pool, under names of their own.
        id="pgcat-1.2",
        version="PgCat 1.2.0",
        answers=Answers(
            console="pgcat",
            pools=rows(
                "database | user | pool_mode | cl_idle | cl_active | cl_waiting | cl_cancel_req"
                " | sv_active | sv_idle | sv_used | sv_tested | sv_login | maxwait | maxwait_us",
                "shop | app | transaction | 7 | 2 | 1 | 0 | 2 | 3 | 0 | 0 | 1 | 1 | 500000",
            ),
            databases=rows(
                "name | host | port | database | force_user | pool_size | min_pool_size"
                " | reserve_pool | pool_mode | max_connections | current_connections | paused"
                " | disabled",
                "shop_shard_0_primary | db | 5432 | shop | app | 9 | 0 | 0 | transaction | 9 | 6"
                " | 0 | 0",
            ),
            stats=rows(
                "instance | database | user | total_xact_count | total_query_count"
                " | total_wait_time",
                "shop_shard_0_primary | shop | app | 10 | 30 | 1000000",
                "shop_shard_0_replica_0 | shop | app | 5 | 6 | 500000",
            ),
            servers=rows("server_id | database_name | user | state", "0x1 | shop | app | idle"),
        ),
        pools={
            _SHOP: BouncerPool(
                connections={"idle": 3, "active": 2, "tested": 0, "login": 1},
                clients={"active": 2, "waiting": 1},
                oldest_waiting=1.5,
                mode="transaction",
            )
        },
        databases={"shop": BouncerDatabase(transactions=15, queries=36, wait=1.5)},
    ),
    Recorded(
        # A row for each server of a pool. It has no clients, only those that wait.
        id="pgdog-0.1",
        version="PgDog v0.1.15",
        answers=Answers(
            console="admin",
            pools=rows(
                "id | database | user | addr | port | shard | role | cl_waiting | sv_idle"
                " | sv_active | sv_idle_xact | sv_total | maxwait | maxwait_us | pool_mode",
                "1 | shop | app | db1 | 5432 | 0 | primary | 1 | 2 | 3 | 1 | 5 | 2 | 0"
                " | transaction",
                "2 | shop | app | db2 | 5432 | 0 | replica | 0 | 4 | 1 | 0 | 5 | 0 | 0"
                " | transaction",
            ),
            stats=rows(
                "database | user | addr | total_xact_count | total_query_count | total_wait_time",
                "shop | app | db1 | 10 | 30 | 1500.25",
                "shop | app | db2 | 1 | 2 | 0.0",
            ),
        ),
        pools={
            _SHOP: BouncerPool(
                connections={"idle": 6, "active": 4},
                clients={"waiting": 1},
                oldest_waiting=2,
                mode="transaction",
            )
        },
        databases={"shop": BouncerDatabase(transactions=11, queries=32, wait=1.50025)},
    ),
]
