"""What to do first, by cause and by pool library."""

from __future__ import annotations

from pg_pool_exporter.analysis.finding import Cause

_LEAK = {
    "psycopg_pool": (
        "Check out with `with pool.connection() as conn:`, which returns on every path; where "
        "getconn() must be used, call putconn() in a `finally`."
    ),
    "sqlalchemy": (
        "Use `with Session(engine) as session:` or `with engine.connect() as conn:`; a session "
        "that lives as long as the program holds its connection."
    ),
    "asyncpg": (
        "Check out with `async with pool.acquire() as conn:`, and give acquire() a timeout."
    ),
    "psycopg2": "Call putconn() in a `finally`; the pool has no queue and fails at once when full.",
    "hikaricp": (
        "Close each Connection with try-with-resources; leakDetectionThreshold=60000 logs the "
        "stack of the checkout."
    ),
    "node-postgres": (
        "Prefer pool.query(); after pool.connect() call client.release() in a `finally`."
    ),
    "sequelize": (
        "Commit or roll back each unmanaged transaction; `sequelize.transaction(async (t) => …)` "
        "does both automatically."
    ),
    "npgsql": "Dispose each NpgsqlConnection with `await using`.",
    "pgx": (
        "Call conn.Release() by `defer` right after Acquire(), and rows.Close() where rows are not "
        "read to their end."
    ),
    "database/sql": (
        "Call rows.Close() by `defer` right after Query(), and Commit() or Rollback() on every "
        "path; SetMaxOpenConns bounds the damage."
    ),
    "activerecord": (
        "Check out with `connection_pool.with_connection { … }` in threads of your own."
    ),
}
_SIZE = {
    "psycopg_pool": "raise max_size",
    "sqlalchemy": "raise pool_size or max_overflow",
    "asyncpg": "raise max_size",
    "psycopg2": "raise maxconn",
    "hikaricp": "raise maximumPoolSize",
    "node-postgres": "raise max",
    "sequelize": "raise pool.max",
    "npgsql": "raise Maximum Pool Size",
    "pgx": "raise pool_max_conns",
    "database/sql": "raise SetMaxOpenConns",
    "activerecord": "raise pool in database.yml",
}
OPEN_TRANSACTION = (
    "The open transaction keeps its locks, and VACUUM keeps old row versions, until then; "
    "`SELECT pg_terminate_backend(PID)` releases both at once, but not the slot."
)
"""For leaked connections whose session is idle in transaction, after the remedy of a leak."""
OF_BOUNCERS = (
    "PgBouncer: see what the pool's connections do, with SHOW SERVERS and on the server. If their "
    "work is short and changes, raise default_pool_size, or pool_size of the database, where the "
    "server has room. If they do nothing, clients keep them: in session mode until they "
    "disconnect, in transaction mode until they commit."
)
"""For a bouncer whose clients wait."""
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


def remedy(cause: Cause, client: str = "") -> str:
    """What to do, in sentences. `client` is the library's name as the pool reports it."""
    library = client.lower()
    library = _ALIASES.get(library, library)
    match cause:
        case Cause.LEAK:
            how = _LEAK.get(library, "Return the connection on every path, also after an error.")
            return (
                f"{how} Only returning the connection, or restarting the process, frees its slot: "
                "ending the session on the server does not."
            )
        case Cause.POOL_TOO_SMALL:
            how = _SIZE.get(library, "raise the pool's maximum")
            return (
                "Let requests hold connections for less time; if the server has room for all pools "
                f"together, {how}."
            )
        case Cause.LONG_CHECKOUTS:
            return (
                "Find why checkouts last so long: slow statements (pg_stat_statements), or "
                "work between checkout and return that needs no connection, such as calls to other "
                "services. A larger pool would only move the queue to the server."
            )
        case Cause.IDLE_IN_TRANSACTION:
            return (
                "Commit or roll back on every path, and set idle_in_transaction_session_timeout "
                "for the role: it ends such sessions. The present ones: "
                "`SELECT pid, application_name, client_addr, now() - state_change AS silent_for "
                "FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' ORDER BY 4 DESC`; "
                "`SELECT pg_terminate_backend(PID)` ends one and rolls its work back (see "
                "docs/runbooks/transactions.md)."
            )
        case Cause.LOCK_PILE_UP:
            return (
                "Find the blocking session: `SELECT pid, application_name, state, "
                "pg_blocking_pids(pid) AS waits_for, query FROM pg_stat_activity WHERE pid IN "
                "(SELECT unnest(pg_blocking_pids(pid)) FROM pg_stat_activity)`. The one that "
                "waits for none is the head: `SELECT pg_terminate_backend(PID)` ends it, and "
                "all others go on (see docs/runbooks/locks.md). Take locks in the same order "
                "everywhere, and set lock_timeout before ALTER TABLE and the like."
            )
        case Cause.SERVER_OVERSUBSCRIBED:
            return (
                "Make the pools smaller, run fewer processes, or put a PgBouncer in between: "
                "together the pools may open more connections than the server accepts."
            )
        case Cause.SERVER_FULL:
            return (
                "See which application has the sessions (pg_stat_activity by application_name and "
                "state); close idle ones by a smaller minimum or idle timeout of their pool."
            )
        case Cause.POSTGRESQL_UNREACHABLE:
            return "Try psql from the exporter's host: is the server running, and does it answer?"
        case Cause.TARGET_UNREACHABLE:
            return "Is it running, and does it serve its metrics page to the exporter's host?"
        case Cause.LOGIN_FAILED:
            return (
                "Change what the reason names: password, role, database or pg_hba.conf. The "
                "server's log has more than a client learns."
            )
        case Cause.SESSIONS_HIDDEN:
            return "GRANT pg_monitor to the exporter's role."
        case Cause.EXPORTER_IMPAIRED:
            return (
                "Correct the file or directory on the exporter's host. `pg-pool-exporter "
                "check-config` names every mistake in a configuration; the exporter's log has all "
                "details. Then reload (SIGHUP); directories and lists are tried again by "
                "themselves."
            )
        case Cause.UNKNOWN:
            return (
                "Watch for some minutes to see why. Meanwhile see what the sessions of the checked-"
                "out connections do (pg_stat_activity by application_name and state): idle ones "
                "point to a leak, active ones to slow statements, waiting ones to a lock."
            )
