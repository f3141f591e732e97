"""The pools that are read from each recorded page, and from pages that lack a part of them."""

from __future__ import annotations

from pg_pool_exporter.model import PoolId, PoolInfo, PoolSample


def key(pool: str, process: str = "orders:8080") -> PoolId:
    return PoolId("orders", pool, process)


def info(**known: str) -> PoolInfo:
    return PoolInfo(server="main", application="orders-api", **known)


HIKARI = info(client="HikariCP", source="micrometer")
EXPECTED: dict[str, tuple[PoolSample, ...]] = {
    "micrometer": (
        PoolSample(
            key=key("HikariPool-1"),
            idle=3, active=7, max=10, min=5, waiting=2, timeouts={"pool": 4},
            acquire_wait=0.75, acquired=215, held=31.5, returned=208, connects=12,
            info=HIKARI,
        ),
    ),
    "hikaricp": (
        PoolSample(
            key=key("orders"),
            idle=0, active=5, max=5, min=5, waiting=3, timeouts={"pool": 1},
            acquire_wait=0.25, acquired=80, held=1.5, returned=75, connects=6,
            info=info(client="HikariCP", source="hikaricp"),
        ),
    ),
    "spring-jdbc": (
        PoolSample(
            key=key("reporting"), idle=6, active=2, min=0, info=info(source="spring-jdbc")
        ),
    ),
    "node-postgres": (
        PoolSample(
            key=key("db.example:5432/shop"),
            idle=3, active=4, max=10, waiting=0, connects=9,
            info=info(
                client="node-postgres", source="node-postgres",
                host="db.example", port="5432", database="shop",
            ),
        ),
    ),
    "otel": (
        PoolSample(
            key=key("main"),
            idle=3, active=7, max=10, min=5, waiting=2, timeouts={"pool": 1},
            acquire_wait=2.5, acquired=100, held=31, returned=93, connects=12,
            info=info(client="HikariCP", source="otel"),
        ),
    ),
    "otel-old": (
        PoolSample(
            key=key("main"),
            idle=3, active=7, max=10, min=5, waiting=2, timeouts={"pool": 1},
            acquire_wait=2.5, acquired=100, held=31, returned=93, connects=12,
            info=info(client="HikariCP", source="otel-old"),
        ),
    ),
    "npgsql": (
        PoolSample(
            key=key("orders@db.example:5432/shop"),
            idle=3, active=7, max=100, waiting=2, timeouts={"pool": 1}, connects=12,
            info=info(
                client="Npgsql", source="npgsql",
                host="db.example", port="5432", database="shop", user="orders",
            ),
        ),
    ),
    "npgsql-10": (
        PoolSample(
            key=key("main"),
            idle=3, active=7, max=100, waiting=2, timeouts={"pool": 0}, connects=12,
            info=info(client="Npgsql", source="npgsql"),
        ),
    ),
    "npgsql-otel": (
        PoolSample(
            key=key("orders"),
            idle=3, active=7, max=100, waiting=2, timeouts={"pool": 1}, connects=12,
            info=info(client="Npgsql", source="otel"),
        ),
    ),
    "otel-python": (
        PoolSample(
            key=key("127.0.0.1:45135/shop"),
            idle=1, active=2,
            info=info(
                client="SQLAlchemy", source="otel-old",
                host="127.0.0.1", port="45135", database="shop",
            ),
        ),
    ),
    "otel-node": (
        PoolSample(
            key=key("127.0.0.1:53729/shop"),
            idle=0, active=3, max=3,
            info=info(
                client="node-postgres", source="otel",
                host="127.0.0.1", port="53729", database="shop",
            ),
        ),
    ),
    "agroal": (
        PoolSample(
            key=key("default"),
            idle=2, active=3, waiting=1, acquire_wait=0.318, acquired=10, connects=1,
            info=info(client="Agroal", source="agroal"),
        ),
    ),
    "agroal-spring": (
        PoolSample(
            key=key("orders"),
            idle=2, active=3, waiting=1, acquire_wait=0.903, acquired=10, connects=5,
            info=info(client="Agroal", source="agroal"),
        ),
    ),
    "r2dbc": (
        PoolSample(
            key=key("connectionFactory"),
            idle=3, active=7, max=10, waiting=2, info=info(client="R2DBC pool", source="r2dbc"),
        ),
    ),
    "vertx": (
        PoolSample(
            key=key("orders"),
            active=7, waiting=2, acquire_wait=2.5, acquired=100, held=31, returned=93,
            info=info(client="Vert.x SQL client", source="vertx"),
        ),
    ),
    "quarkus-reactive": (
        PoolSample(
            key=key("main"),
            active=7, max=10, waiting=2, acquire_wait=2.5, acquired=100, held=31, returned=93,
            info=info(client="Vert.x SQL client", source="quarkus-reactive"),
        ),
    ),
    "commons-pool2": (
        PoolSample(
            key=key("pool"),
            idle=3, active=7, waiting=2, acquired=100, returned=93, connects=12,
            info=info(client="DBCP2", source="commons-pool2"),
        ),
    ),
    "wildfly": (
        PoolSample(
            key=key("OrdersDS"),
            idle=3, active=7, max=20, queued=14, timeouts={"pool": 1}, acquire_wait=2.5, held=31,
            connects=12, info=info(client="IronJacamar", source="wildfly"),
        ),
    ),
    "liberty": (
        PoolSample(
            key=key("jdbc_orders"),
            idle=3, active=7, queued=14, acquire_wait=2.5, held=31, acquired=100, connects=12,
            info=info(client="Open Liberty", source="liberty"),
        ),
    ),
    "prisma": (
        PoolSample(
            key=key("default"),
            idle=3, active=7, waiting=2, acquire_wait=2.5, acquired=100, connects=12,
            info=info(client="Prisma", source="prisma"),
        ),
    ),
    "yabeda": (
        PoolSample(
            key=key("primary"),
            idle=1, active=4, max=5, waiting=2, leaked_slots={"a thread that has ended": 1},
            info=info(client="ActiveRecord", source="yabeda"),
        ),
    ),
    "promex": tuple(
        PoolSample(
            key=key("Shop.Repo", f"orders:8080:{app}"),
            max=10, acquire_wait=2.5, acquired=100, info=info(client="Ecto", source="promex"),
        )
        for app in ("shop", "web_app")
    ),
    **{
        name: (
            PoolSample(
                key=key("shop/orders"),
                idle=3, active=7, waiting=2, oldest_waiting=1.5,
                info=info(client=client, source=name, database="shop", user="orders"),
            ),
        )
        for name, client in (
            ("pgbouncer-exporter", "PgBouncer"),
            ("cnpg-pgbouncer", "PgBouncer"),
            ("pgcat", "PgCat"),
        )
    },
    "odyssey": (
        PoolSample(
            key=key("shop/orders"),
            idle=3, active=7,
            info=info(client="Odyssey", source="odyssey", database="shop", user="orders"),
        ),
    ),
    "pgdog": (
        PoolSample(
            key=key("shop/orders/db/5432/0/primary"),
            idle=3, active=5, max=20, waiting=2, oldest_waiting=1.5, timeouts={"pool": 1},
            connects=12,
            info=info(
                client="PgDog", source="pgdog",
                host="db", port="5432", database="shop", user="orders",
            ),
        ),
    ),
    "supavisor": (
        PoolSample(
            key=key("dev/orders/transaction/shop"),
            idle=3, active=7, acquire_wait=2.5, acquired=100,
            info=info(client="Supavisor", source="supavisor", database="shop", user="orders"),
        ),
    ),
    "pgagroal": (
        PoolSample(
            key=key("default"),
            idle=3, active=7, max=20, waiting=2, timeouts={"pool": 1},
            info=info(client="pgagroal", source="pgagroal"),
        ),
    ),
    "otelpgx": (
        PoolSample(
            key=key("localhost:5432/shop"),
            idle=1, active=2, max=4, queued=1, timeouts={"pool": 0},
            acquire_wait=5.1058702e07 * 1e-9, acquired=12,
            info=info(
                client="pgxpool", source="otelpgx", host="localhost", port="5432", database="shop"
            ),
        ),
    ),
    "pgxpool-by-opentelemetry": (
        PoolSample(
            key=key("default"),
            idle=1, active=3, max=4, timeouts={"pool": 7}, acquire_wait=0.01, acquired=4,
            info=info(client="pgxpool", source="pgxpool"),
        ),
    ),
    "pgxpool": (
        PoolSample(
            key=key("shop"),
            idle=3, active=7, max=10, queued=14, timeouts={"pool": 1},
            acquire_wait=2.5, acquired=100, connects=12,
            info=info(client="pgxpool", source="pgxpool"),
        ),
    ),
    "pgx-pool": (
        PoolSample(
            key=key("shop"),
            idle=3, active=7, max=10, queued=14, timeouts={"pool": 1}, connects=12,
            info=info(client="pgxpool", source="pgx-pool"),
        ),
    ),
    "go-sql": (
        PoolSample(
            key=key("shop"),
            idle=2, active=7, queued=14, acquire_wait=2.5,
            info=info(client="database/sql", source="go-sql"),
        ),
    ),
    **{
        name: (
            PoolSample(
                key=key("shop"),
                idle=2, active=7, max=20, queued=14, acquire_wait=2.5,
                info=info(client="database/sql", source=source, **more),
            ),
        )
        for name, source, more in (
            ("go-sql-gorm", "go-sql", {}),
            ("go-sql-sqlstats", "go-sql", {}),
            ("otelsql", "otelsql", {"database": "shop"}),
            ("otelsql-uptrace", "otelsql", {"database": "shop"}),
        )
    },
    "rails": tuple(
        PoolSample(
            key=key("primary", f"orders:8080:{pid}"),
            idle=1, active=active, max=5, waiting=waiting,
            leaked_slots={"a thread that has ended": dead},
            info=info(
                client="ActiveRecord", source="rails",
                host="db.example", database="shop", pid=pid,
            ),
        )
        for pid, active, waiting, dead in (("4711", 4, 2, 1), ("4712", 0, 0, 0))
    ),
    "rails-hosts": tuple(
        PoolSample(
            key=key("primary", f"orders:8080:{host}:1"),
            active=active, max=5,
            info=info(client="ActiveRecord", source="rails", pid="1"),
        )
        for host, active in (("web-1", 3), ("web-2", 4))
    ),
}  # fmt: skip
MANAGED = 'connectionpool_managedConnections{datasource="p"}'
FREE = 'connectionpool_freeConnections{datasource="p"}'
AVAILABLE, IN_USE = (
    f'wildfly_datasources_pool_{one}_count{{data_source="p"}}' for one in ("available", "in_use")
)
SV_IDLE, SV_USED = (f'pgcat_pools_sv_{one}{{pool="a",user="u"}}' for one in ("idle", "used"))
SHOWN = '{pool_name="p",otel_scope_name="Npgsql"}'
SHOWN_USED = SHOWN.replace("}", ',state="used"}')
SUMS_THAT_LACK_A_PART = [
    ((f"{FREE} NaN", f"{MANAGED} 10"), "active", None),
    ((f"{FREE} -1", f"{MANAGED} 10"), "active", None),
    ((f"{MANAGED} 10",), "active", None),
    ((f"{FREE} 4", f"{MANAGED} NaN"), "active", None),
    ((f"{FREE} 4", f"{MANAGED} 10"), "active", 6),
    ((f"vendor_{FREE} 4", f"{FREE} NaN", f"{MANAGED} 10"), "active", 6),
    (("pgagroal_total_connections 9", "pgagroal_active_connections NaN"), "idle", None),
    (("pgagroal_total_connections 9",), "idle", None),
    (("pgagroal_active_connections 0",), "idle", None),
    ((f"{AVAILABLE} 5",), "max", None),
    ((f"{IN_USE} 5",), "max", None),
    ((f"{SV_IDLE} 5", f"{SV_USED} NaN"), "idle", None),
    ((f"{SV_IDLE} 5",), "idle", 5),
    (
        (
            f"db_client_connection_max{SHOWN} 5",
            f"db_client_connection_npgsql_pending_requests{SHOWN} NaN",
        ),
        "waiting",
        None,
    ),
    (
        (
            f"db_client_connection_max{SHOWN} NaN",
            f"db_client_connection_count{SHOWN_USED} 1",
            f"db_client_connection_npgsql_pending_requests{SHOWN} 2",
        ),
        "waiting",
        2,
    ),
]
