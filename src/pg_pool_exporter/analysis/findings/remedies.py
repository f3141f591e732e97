"""The first remedy by cause, and the runbook with more."""

from __future__ import annotations

from collections.abc import Mapping

from pg_pool_exporter.analysis.findings.finding import Cause
from pg_pool_exporter.analysis.findings.libraries import words
from pg_pool_exporter.analysis.findings.recommended import (
    IDLE_IN_TRANSACTION_TIMEOUT,
    RECOMMENDED_TIMEOUTS,
    setting,
)

OPEN_TRANSACTION = (
    "The open transaction keeps its locks, and VACUUM keeps old row versions, as long as it lasts; "
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
# With the words of the pool's library. Backticks mark code.
_REMEDIES: Mapping[Cause, str] = {
    Cause.LEAK: (
        "Now: restart the processes, one after the other; ending the session on the server frees "
        "no slot of the pool. Then fix the code. {returning}"
    ),
    Cause.SLOTS_LOST_IN_LIBRARY: (
        "Restart the process: nothing else frees these slots. Then update the pool library. An "
        "exception that a signal handler raises (a task's time limit, Ctrl-C) has the same effect "
        "in any version."
    ),
    Cause.RECLAIMED_CONNECTIONS: "{returning}",
    Cause.POOL_PER_REQUEST: (
        "Make one engine or pool when the process starts (in a module, or in the application's "
        "lifespan), and use it for all requests."
    ),
    Cause.POOL_TOO_SMALL: (
        "Let requests hold connections for less time; if the server has room for all pools "
        "together, {enlarging}."
    ),
    Cause.LONG_CHECKOUTS: (
        "Find why checkouts last so long: slow statements (pg_stat_statements), or work between "
        "checkout and return that needs no connection, such as calls to other services. A larger "
        "pool would only move the queue to the server."
    ),
    Cause.IDLE_IN_TRANSACTION: (
        "Now: `SELECT pid, application_name, client_addr, now() - state_change AS silent_for FROM "
        "pg_stat_activity WHERE state LIKE 'idle in transaction%' ORDER BY 4 DESC` shows them; "
        "`SELECT pg_terminate_backend(PID)` ends one and rolls its work back. Then commit or roll "
        "back on every path. `{set_timeout}` ends such sessions."
    ),
    Cause.LOCK_PILE_UP: (
        "Find the blocking session: `SELECT pid, application_name, state, pg_blocking_pids(pid) AS "
        "waits_for, query FROM pg_stat_activity WHERE pid IN (SELECT unnest(pg_blocking_pids(pid)) "
        "FROM pg_stat_activity)`. The one that waits for none is the head: `SELECT "
        "pg_terminate_backend(PID)` ends it, and all others go on. Take locks in the same order "
        "everywhere, and `SET lock_timeout = '{lock_timeout}'` before ALTER TABLE and the like."
    ),
    Cause.SERVER_OVERSUBSCRIBED: (
        "Make the pools smaller, run fewer processes, or put a PgBouncer in between: together the "
        "pools may open more connections than the server accepts."
    ),
    Cause.SERVER_FULL: (
        "Now: see which application has the sessions (`SELECT application_name, state, count(*) "
        "FROM pg_stat_activity GROUP BY 1, 2 ORDER BY 3 DESC`) and stop what is not needed; "
        "`pg-pool-exporter terminate-idle` ends sessions that have been idle for long. Then close "
        "idle ones by a smaller minimum or idle timeout of their pool."
    ),
    Cause.CONNECTION_LIMIT: (
        "See which application has the sessions (`SELECT application_name, usename, datname, "
        "state, count(*) FROM pg_stat_activity GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC`). "
        "`ALTER ROLE … CONNECTION LIMIT` or `ALTER DATABASE … CONNECTION LIMIT` raises the limit, "
        "where the server has slots; -1 removes it."
    ),
    Cause.LOGINS_HANG: (
        "New connections of applications hang, too. On the server's host: does the postmaster run "
        "(`ps -o stat`: T is stopped, D waits for a disk), is memory left for a fork, does a lock "
        "on pg_authid or pg_database, or the authentication (LDAP, PAM), hang?"
    ),
    Cause.LOG_NOT_UNDERSTOOD: (
        "Set `log: format:` and `line_prefix:` to what the server writes (`SHOW log_destination; "
        "SHOW log_line_prefix`), and name only its own files; `check-config --probe` says what "
        "fits their end."
    ),
    Cause.BOUNCER_IDLE_IN_TRANSACTION: (
        "Have the application commit or roll back on every path before it waits for anything else. "
        "`idle_transaction_timeout` in pgbouncer.ini (on the console `SET idle_transaction_timeout "
        "= 60`), or idle_in_transaction_session_timeout of the role, ends such clients. At once: "
        "`SELECT pg_terminate_backend(PID)` on the server, with remote_pid of SHOW SERVERS."
    ),
    Cause.BOUNCER_SESSION_HELD: (
        "In session mode a client keeps its connection until it disconnects: an application's pool "
        "holds one for each that it has open. Use `pool_mode = transaction` (on the console `SET "
        "pool_mode = 'transaction'`, and in pgbouncer.ini) where the application needs no session "
        "state; else make the pools of the applications smaller than pool_size together, with a "
        "short idle timeout, and look for connections that are not returned."
    ),
    Cause.BOUNCER_LONG_TRANSACTIONS: (
        "Find why the transactions last so long: slow statements (pg_stat_statements), locks, or "
        "work between statements that needs no connection. A larger pool would only move the queue "
        "to the server. `query_timeout` and `transaction_timeout` bound them."
    ),
    Cause.BOUNCER_POOL_TOO_SMALL: "Raise the limit where the server has slots left.",
    Cause.BOUNCER_SERVER_UNAVAILABLE: (
        'Look into the bouncer\'s log for "server login failed" and "connect failed": is the '
        "server running and reachable from the bouncer's host, has it slots left, and does it "
        "accept the bouncer's password? Clients are answered as soon as it does."
    ),
    Cause.BOUNCER_PAUSED: (
        "Somebody has stopped it: ask who, and whether a failover or an upgrade still runs."
    ),
    Cause.BOUNCER_TOO_MANY_CLIENTS: (
        "See which application has so many clients, and make its pools smaller; else raise the "
        "limit, with the file descriptors that the bouncer may open (ulimit -n)."
    ),
    Cause.BOUNCER_LIMITS_OVERSUBSCRIBED: (
        "Make what asks for more smaller, or raise the limit that gives first: the maxima of the "
        "applications' pools must fit `max_client_conn`, in session mode `pool_size`, too; and all "
        "pools of the bouncer together, with what connects directly, the slots of the server."
    ),
    Cause.BOUNCER_LOGINS: (
        "Keep connections open in the application: a pool, or persistent connections (Django's "
        "CONN_MAX_AGE). Each login costs TLS and a password hash on the bouncer's only core."
    ),
    Cause.POSTGRESQL_UNREACHABLE: (
        "Try psql from the exporter's host: is the server running, and does it answer?"
    ),
    Cause.TARGET_UNREACHABLE: (
        "Is it running, and does it serve its metrics page to the exporter's host?"
    ),
    Cause.LOGIN_FAILED: (
        "Change what the reason names: password, role, database or pg_hba.conf. The server's log "
        "has more than a client learns."
    ),
    Cause.SESSIONS_HIDDEN: "GRANT pg_monitor to the exporter's role.",
    Cause.EXPORTER_IMPAIRED: (
        "Correct the file or directory on the exporter's host. `pg-pool-exporter check-config` "
        "names every mistake in a configuration; the exporter's log has all details. Then reload "
        "(SIGHUP); directories and lists are tried again automatically."
    ),
    Cause.UNKNOWN: (
        "Watch for some minutes to see why. Meanwhile see what the sessions of the checked-out "
        "connections do (pg_stat_activity by application_name and state): idle ones point to a "
        "leak, active ones to slow statements, waiting ones to a lock."
    ),
}
_RUNBOOKS: Mapping[Cause, str] = {
    Cause.LEAK: "returning-connections",
    Cause.SLOTS_LOST_IN_LIBRARY: "PgPoolSlotsLost",
    Cause.RECLAIMED_CONNECTIONS: "PgPoolConnectionsReclaimed",
    Cause.POOL_PER_REQUEST: "PgPoolPerRequest",
    Cause.POOL_TOO_SMALL: "pool-size",
    Cause.LONG_CHECKOUTS: "long-checkouts",
    Cause.IDLE_IN_TRANSACTION: "transactions",
    Cause.LOCK_PILE_UP: "locks",
    Cause.SERVER_OVERSUBSCRIBED: "pool-size",
    Cause.SERVER_FULL: "PgServerFull",
    Cause.CONNECTION_LIMIT: "PgServerConnectionLimit",
    Cause.LOGINS_HANG: "PgServerLoginsHang",
    Cause.LOG_NOT_UNDERSTOOD: "PgPoolLogNotUnderstood",
    Cause.BOUNCER_IDLE_IN_TRANSACTION: "PgBouncerIdleInTransaction",
    Cause.BOUNCER_SESSION_HELD: "PgBouncerSessionHeld",
    Cause.BOUNCER_LONG_TRANSACTIONS: "PgBouncerLongTransactions",
    Cause.BOUNCER_POOL_TOO_SMALL: "PgBouncerPoolTooSmall",
    Cause.BOUNCER_SERVER_UNAVAILABLE: "PgBouncerServerUnavailable",
    Cause.BOUNCER_PAUSED: "PgBouncerPaused",
    Cause.BOUNCER_TOO_MANY_CLIENTS: "PgBouncerTooManyClients",
    Cause.BOUNCER_LIMITS_OVERSUBSCRIBED: "PgBouncerLimitsOversubscribed",
    Cause.BOUNCER_LOGINS: "PgBouncerLogins",
    Cause.POSTGRESQL_UNREACHABLE: "PgServerDown",
    Cause.TARGET_UNREACHABLE: "PgPoolTargetDown",
    Cause.LOGIN_FAILED: "PgPoolLoginFailed",
    Cause.SESSIONS_HIDDEN: "PgServerSessionsHidden",
    Cause.EXPORTER_IMPAIRED: "PgPoolExporterImpaired",
}


def remedy(cause: Cause, client: str = "", framework: str = "") -> str:
    """The remedy, in sentences.

    `client` and `framework` are the pool's library and framework, as its page reports them.
    """
    its = words(client, framework)
    return _REMEDIES[cause].format(
        returning=its.returning,
        enlarging=its.enlarging,
        set_timeout=setting(IDLE_IN_TRANSACTION_TIMEOUT),
        lock_timeout=RECOMMENDED_TIMEOUTS["lock_timeout"],
    )


def remedy_when_full(cause: Cause) -> str:
    """The remedy for a full server: a slot is needed now, whatever the cause."""
    return " ".join(map(remedy, dict.fromkeys((Cause.SERVER_FULL, cause))))


def runbook(cause: Cause, base: str) -> str | None:
    """The address of the page about a cause, where docs/runbooks can be read at `base`; None for an
    unknown cause.
    """
    page = _RUNBOOKS.get(cause)
    return None if page is None else f"{base}/{page}.md"
