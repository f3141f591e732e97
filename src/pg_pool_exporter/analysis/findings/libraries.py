"""Remedies in the terms of each pool library and framework."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Words:
    """Of a library, or of a framework. Backticks mark code."""

    returning: str
    """How code returns a connection on every path, in sentences."""
    enlarging: str = ""
    """How the pool's maximum is raised, in an imperative."""


def words(client: str, framework: str = "") -> Words:
    """Those for a pool, by the names that its page reports; general ones for an unknown library."""
    name = client.lower()
    library = _ALIASES.get(name, name)
    own = _LIBRARIES.get(library, _ANY)
    around = _FRAMEWORKS.get((framework, library)) or _FRAMEWORKS.get((framework, ""))
    if around is None:
        return own
    return Words(f"{around.returning} {own.returning}", around.enlarging or own.enlarging)


_ANY = Words(
    "Return the connection on every path, also after an error.", "raise the pool's maximum"
)
_JDBC = "Close each Connection with try-with-resources"
_BOUNCER = (
    "Its clients keep server connections: in session mode until they disconnect, in transaction "
    "mode until they commit; find the client whose session is idle for long, and fix that."
)
_LIBRARIES: Mapping[str, Words] = {
    "psycopg_pool": Words(
        "Check out with `with pool.connection() as conn:`, which returns on every path; where "
        "getconn() must be used, call putconn() in a `finally`.",
        "raise max_size",
    ),
    "sqlalchemy": Words(
        "Use `with Session(engine) as session:` or `with engine.connect() as conn:`, in "
        "asynchronous code `async with`; a session that lives as long as the program holds its "
        "connection.",
        "raise pool_size or max_overflow",
    ),
    "asyncpg": Words(
        "Check out with `async with pool.acquire() as conn:`, and give acquire() a timeout.",
        "raise max_size",
    ),
    "psycopg2": Words(
        "Call putconn() in a `finally`; the pool has no queue and fails at once when full.",
        "raise maxconn",
    ),
    "hikaricp": Words(
        f"{_JDBC}, or leave it to JdbcTemplate or `@Transactional`; leakDetectionThreshold=60000 "
        "logs the stack of the checkout.",
        "raise maximumPoolSize",
    ),
    "agroal": Words(
        f"{_JDBC}, or leave it to `@Transactional`; in Quarkus "
        "quarkus.datasource.jdbc.leak-detection-interval reports leaks.",
        "raise its max-size",
    ),
    "dbcp2": Words(
        f"{_JDBC}; logAbandoned=true with removeAbandonedOnBorrow=true logs the stack of the "
        "checkout.",
        "raise maxTotal",
    ),
    "ironjacamar": Words(
        f"{_JDBC}, or leave it to the container's transactions; debug=true of the JCA subsystem's "
        "cached-connection-manager logs where an unclosed one was opened.",
        "raise max-pool-size of the data source",
    ),
    "open liberty": Words(f"{_JDBC}.", "raise maxPoolSize of the connectionManager"),
    "r2dbc pool": Words(
        "Close each Connection on every path with Mono.usingWhen or Flux.usingWhen, or leave it to "
        "DatabaseClient.",
        "raise max-size of the pool",
    ),
    "vert.x sql client": Words(
        "Prefer pool.withConnection(…) and pool.withTransaction(…), which return on every path; "
        "after getConnection() call close().",
        "raise maxSize in PoolOptions",
    ),
    "prisma": Words(
        "Keep interactive transactions (`$transaction(async (tx) => …)`) short, and make one "
        "PrismaClient for the process.",
        "raise connection_limit in the connection string",
    ),
    "ecto": Words(
        "Ecto returns a connection when its function ends: keep other work out of "
        "Repo.transaction, Repo.checkout and streams.",
        "raise pool_size of the Repo",
    ),
    "pgbouncer": Words(_BOUNCER, "raise default_pool_size, or pool_size of the database"),
    "odyssey": Words(_BOUNCER, "raise pool_size of the route"),
    "pgcat": Words(_BOUNCER, "raise pool_size of the user"),
    "pgdog": Words(_BOUNCER, "raise pool_size of the database"),
    "supavisor": Words(_BOUNCER, "raise default_pool_size of the tenant, or pool_size of the user"),
    "pgagroal": Words(_BOUNCER, "raise max_connections, or MAX_SIZE in pgagroal_databases.conf"),
    "node-postgres": Words(
        "Prefer pool.query(); after pool.connect() call client.release() in a `finally`.",
        "raise max",
    ),
    "sequelize": Words(
        "Commit or roll back each unmanaged transaction; `sequelize.transaction(async (t) => …)` "
        "does both automatically.",
        "raise pool.max",
    ),
    "npgsql": Words(
        "Dispose each NpgsqlConnection, and each reader, with `await using`.",
        "raise Maximum Pool Size",
    ),
    "pgx": Words(
        "Call conn.Release() by `defer` right after Acquire(), and rows.Close() where rows are not "
        "read to their end.",
        "raise pool_max_conns",
    ),
    "database/sql": Words(
        "Call rows.Close() by `defer` right after Query(), and Commit() or Rollback() on every "
        "path; SetMaxOpenConns bounds the damage.",
        "raise SetMaxOpenConns",
    ),
    "activerecord": Words(
        "Check out with `connection_pool.with_connection { … }` in threads of your own.",
        "raise pool in database.yml",
    ),
}
# Other names of libraries.
_ALIASES = {
    "pg": "node-postgres",
    "node_postgres": "node-postgres",
    "pgxpool": "pgx",
    "go_sql": "database/sql",
    "go database/sql": "database/sql",
    "rails": "activerecord",
    "active record": "activerecord",
}
# By framework and library; with "" for the framework's other libraries.
_FRAMEWORKS: Mapping[tuple[str, str], Words] = {
    ("django", "psycopg_pool"): Words(
        "Django returns the connections of its own pool at the end of each request: in threads, "
        "consumers and long commands call `close_old_connections()` when the work is done. For "
        "a pool of your own, do this.",
        'raise max_size (in Django `OPTIONS["pool"]` of the database)',
    ),
    ("fastapi", ""): Words(
        "In FastAPI check out in a dependency that yields inside `with` or `async with`; a "
        "background task, which outlives its request, checks out for itself."
    ),
    ("flask", "sqlalchemy"): Words(
        "Flask-SQLAlchemy returns at the end of each request: in threads, and without the "
        "extension in `@app.teardown_appcontext`, call `session.remove()`.",
        "raise pool_size or max_overflow (with Flask-SQLAlchemy in SQLALCHEMY_ENGINE_OPTIONS)",
    ),
    ("celery", ""): Words(
        "In Celery check out inside the task, in a block that ends with it: what a module keeps "
        "stays checked out between tasks."
    ),
}
