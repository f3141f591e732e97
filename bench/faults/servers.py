"""Faults of a PostgreSQL server, of the way to it, and of a PgBouncer."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import psycopg

from bench.faults.case import Expected, fault, steps
from bench.faults.stand import END_EXPORTERS, PASSWORD, Stand, findings_of, series_of
from support.postgres import EMBEDDED_16, Cluster, wait_until
from support.wall_clock import WallClock

_AGE = re.compile(r"pg_server_(oldest|longest|last_login|session\w*_age)\w*_seconds\b")
_SERVER, _LINK, _BOUNCER = "PostgreSQL", "The way to it", "PgBouncer"


def _down(reason: str, log: str = "", cause: str = "postgresql_unreachable") -> Expected:
    return Expected("server main", reason, cause=cause, log=log)


_REPLACED = Expected(log="own session replaced")


def _pause_own(stand: Stand) -> None:
    for pid in stand.own_sessions():
        stand.cluster.pause_backend(pid)


def _resume(stand: Stand) -> None:
    stand.cluster.resume()


steps(_SERVER, "the exporters' sessions stopped (SIGSTOP)", _pause_own, _resume,
      Expected(log="own session replaced"), peer=True)  # fmt: skip
steps(_SERVER, "postmaster stopped, its sessions run",
      lambda stand: stand.cluster.pause_postmaster(), _resume,
      Expected(series="pg_server_last_login_seconds", least=4, most=1e9, cause="logins_hang",
               check="targets", within=120), peer=True)  # fmt: skip
steps(_SERVER, "all processes stopped (SIGSTOP)", lambda stand: stand.cluster.pause_all(), _resume,
      _down("timeout", "target down"), peer=True)  # fmt: skip
steps(_SERVER, "killed (immediate shutdown)", lambda stand: stand.cluster.stop("immediate"),
      lambda stand: stand.cluster.start(), _down("protocol"), peer=True)  # fmt: skip
steps(_SERVER, "shut down", lambda stand: stand.cluster.stop(), lambda stand: stand.cluster.start(),
      _down("protocol"), peer=True)  # fmt: skip
steps(_SERVER, "restarted", lambda stand: stand.cluster.restart(), None, _REPLACED,
      peer=True)  # fmt: skip


@fault(_SERVER, "one backend killed: the server restarts all", _REPLACED, peer=True)
def _crash(stand: Stand) -> Iterator[None]:
    for pid in stand.own_sessions()[:1]:
        os.kill(pid, signal.SIGKILL)
    yield


steps(_SERVER, "the exporters' sessions terminated", lambda stand: stand.end_own_sessions(),
      None, _REPLACED, peer=True)  # fmt: skip


def _fill(stand: Stand, sessions: ExitStack) -> None:
    with suppress(psycopg.OperationalError):
        while True:
            sessions.enter_context(stand.cluster.connect(user="app"))


@fault(_SERVER, "full, the exporter has its session", Expected(cause="server_full"), peer=True)
def _full(stand: Stand) -> Iterator[None]:
    with ExitStack() as sessions:
        _fill(stand, sessions)
        yield


@fault(_SERVER, "full, the exporter has lost its session",
       _down("too_many_connections", "no connection slot is left", "server_full"),
       peer=True)  # fmt: skip
def _full_without_us(stand: Stand) -> Iterator[None]:
    with stand.superuser(), ExitStack() as sessions:
        stand.cluster.run("ALTER ROLE exporter NOLOGIN")
        stand.end_own_sessions()
        _fill(stand, sessions)
        stand.cluster.run("ALTER ROLE exporter LOGIN")
        yield


def _new_login(
    title: str, change: str, back: str, expected: Expected, *, end_first: bool = False
) -> None:
    """A change of the server that holds from the next login on, and the exporters' next login."""

    def generator(stand: Stand) -> Iterator[None]:
        if end_first:
            stand.cluster.run("ALTER ROLE exporter NOLOGIN")
            stand.end_own_sessions()
        stand.cluster.run(change)
        stand.cluster.run("ALTER ROLE exporter LOGIN") if end_first else stand.end_own_sessions()
        try:
            yield
        finally:
            stand.cluster.run(back)

    fault(_SERVER, title, expected, peer=True)(generator)


_REFUSED = _down("auth", "refused the login", "login_failed")
_new_login(
    "role's CONNECTION LIMIT reached",
    "ALTER ROLE exporter CONNECTION LIMIT 0", "ALTER ROLE exporter CONNECTION LIMIT -1",
    _down("role_limit", "of the exporter's role", "connection_limit"),
)  # fmt: skip
_new_login(
    "database's CONNECTION LIMIT reached",
    "ALTER DATABASE monitored CONNECTION LIMIT 0", "ALTER DATABASE monitored CONNECTION LIMIT -1",
    _down("database_limit", "of the database", "connection_limit"),
)  # fmt: skip
_new_login(
    "password changed",
    "ALTER ROLE exporter PASSWORD 'another'", f"ALTER ROLE exporter PASSWORD '{PASSWORD}'",
    _REFUSED,
)  # fmt: skip
_new_login(
    "role may not log in", "ALTER ROLE exporter NOLOGIN", "ALTER ROLE exporter LOGIN",
    _REFUSED,
)  # fmt: skip
_new_login(
    "role unknown (renamed)", "ALTER ROLE exporter RENAME TO former",
    "ALTER ROLE former RENAME TO exporter;", _REFUSED,
)  # fmt: skip
_new_login(
    "database unknown (renamed)", "ALTER DATABASE monitored RENAME TO former",
    "ALTER DATABASE former RENAME TO monitored", _REFUSED, end_first=True,
)  # fmt: skip
_new_login(
    "database accepts no connections", "ALTER DATABASE monitored ALLOW_CONNECTIONS false",
    "ALTER DATABASE monitored ALLOW_CONNECTIONS true", _REFUSED,
)  # fmt: skip
_new_login(
    "CONNECT revoked", "REVOKE CONNECT ON DATABASE monitored FROM PUBLIC",
    "GRANT CONNECT ON DATABASE monitored TO PUBLIC",
    _down("permission", "a right is missing", "login_failed"),
)  # fmt: skip
for _timeout in ("statement_timeout", "lock_timeout", "idle_session_timeout"):
    _new_login(
        f"role's {_timeout} is 1 ms", f"ALTER ROLE exporter SET {_timeout} = '1ms'",
        "ALTER ROLE exporter RESET ALL", _REPLACED,
    )  # fmt: skip
_new_login(
    "role's search_path and DateStyle are strange",
    "ALTER ROLE exporter SET search_path = 'nowhere'; "
    "ALTER ROLE exporter SET DateStyle = 'German'",
    "ALTER ROLE exporter RESET ALL", _REPLACED,
)  # fmt: skip
_new_login(
    "role's encoding, number of digits and isolation are strange",
    "ALTER ROLE exporter SET client_encoding = 'EUC_JP'; "
    "ALTER ROLE exporter SET extra_float_digits = -15; "
    "ALTER ROLE exporter SET default_transaction_isolation = 'serializable'",
    "ALTER ROLE exporter RESET ALL", _REPLACED,
)  # fmt: skip


_new_login(
    "each plan is sent to the sessions of the database as a message",
    "ALTER DATABASE monitored SET client_min_messages = debug5; "
    "ALTER DATABASE monitored SET debug_print_plan = on",
    "ALTER DATABASE monitored RESET ALL", _REPLACED,
)  # fmt: skip


@fault(_SERVER, "pg_settings locked by a role without rights", _REPLACED, peer=True)
def _settings_locked(stand: Stand) -> Iterator[None]:
    with stand.cluster.connect(user="app") as session:
        session.execute("BEGIN; LOCK TABLE pg_settings IN ACCESS EXCLUSIVE MODE")
        stand.end_own_sessions()
        yield


@fault(
    _SERVER,
    "pg_hba.conf rejects the exporter",
    _down("auth", "pg_hba.conf", "login_failed"),
    peer=True,
)
def _rejected(stand: Stand) -> Iterator[None]:
    text = stand.hba.read_text()
    _write_hba(stand, f"host all exporter all reject\n{text}")
    stand.end_own_sessions()
    yield
    _write_hba(stand, text)


def _write_hba(stand: Stand, text: str) -> None:
    stand.hba.write_text(text)
    stand.cluster.run("SELECT pg_reload_conf()")
    time.sleep(0.2)


@fault(_SERVER, "pg_monitor revoked", Expected(check="sessions", within=30), peer=True)
def _revoked(stand: Stand) -> Iterator[None]:
    stand.cluster.run("REVOKE pg_monitor FROM exporter")
    try:
        with stand.cluster.connect(user="app"):
            yield
    finally:
        stand.cluster.run("GRANT pg_monitor TO exporter")


@fault(_SERVER, "track_activities is off: sessions have no state",
       Expected(check="sessions", within=30), peer=True)  # fmt: skip
def _untracked(stand: Stand) -> Iterator[None]:
    stand.cluster.run("ALTER SYSTEM SET track_activities = off")
    stand.cluster.run("SELECT pg_reload_conf()")
    try:
        with stand.cluster.connect(user="app"):
            yield
    finally:
        stand.cluster.run("ALTER SYSTEM RESET track_activities")
        stand.cluster.run("SELECT pg_reload_conf()")
        # An idle session keeps having no state until its next statement.
        stand.cluster.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'disabled'"
        )


def _locked(table: str, *, ended: bool = False) -> None:
    """A catalogue that is locked; `ended`: so that the exporters must log in again."""

    def generator(stand: Stand) -> Iterator[None]:
        with stand.superuser() as session:
            session.execute("BEGIN")
            session.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
            if ended:
                # Nobody else can log in to do it.
                session.execute(END_EXPORTERS)
            yield

    fault(_SERVER, f"{table} locked", _down("timeout"), peer=True)(generator)


_locked("pg_database")
_locked("pg_authid", ended=True)


def _standby(stand: Stand) -> None:
    (stand.cluster.directory / "data/standby.signal").touch()
    stand.cluster.restart()


def _promote(stand: Stand) -> None:
    stand.cluster.run("SELECT pg_promote()")


steps(_SERVER, "it becomes a standby, and is promoted", _standby, _promote,
      Expected(series='pg_server_info{server="main",version="16', least=1, most=1,
               log="own session replaced"), peer=True)  # fmt: skip


def _clock_is_set(title: str, offset: str) -> None:
    """The clock of a server of its own, while one session waits for another that is idle."""

    def generator(stand: Stand) -> Iterator[None]:
        cluster = Cluster(EMBEDDED_16)
        clock = WallClock(cluster.directory / "clock")
        cluster.environment.update(clock.environment)
        begun = time.monotonic()
        with (
            cluster,
            cluster.connect() as keeps,
            cluster.connect() as waits,
            stand.second_daemon(server=cluster.dsn()) as (address, _),
            ThreadPoolExecutor(1) as beside,
        ):
            keeps.execute("BEGIN; LOCK TABLE pg_catalog.pg_description")
            waiting = beside.submit(waits.execute, "BEGIN; LOCK TABLE pg_catalog.pg_description")
            clock.set(offset)
            wait_until(lambda: "clock was set" in stand.second_log.read_text(), "it is noticed")
            time.sleep(2)
            series, findings = series_of(address), findings_of(address)["findings"]
            passed = time.monotonic() - begun
            keeps.rollback()
            waiting.result()
        assert series['pg_server_up{server="main"}'] == 1, "it is down"
        assert not findings, f"a false finding: {findings[0]['cause']}"
        wrong = [
            name for name, age in series.items()
            if _AGE.match(name) and not 0 <= age <= passed
        ]  # fmt: skip
        assert not wrong, f"wrong ages: {wrong}"
        yield

    fault(_SERVER, title, Expected(within=60), needs="clock")(generator)


_clock_is_set("its clock is set an hour ahead", "+3600")
_clock_is_set("its clock is set 20 years back", "-7300d")


def _lag(stand: Stand) -> None:
    stand.link.lag = 0.2


def _restore(stand: Stand) -> None:
    link = stand.link
    link.lag, link.data, link.newcomers = 0.0, "passes", "pass"
    link.cut()


steps(_LINK, "each message 0.2 s late", _lag, _restore, peer=True,
      expected=Expected(series='pg_pool_exporter_poll_duration_seconds{target="main",kind="server"',
                        least=0.3, most=1))  # fmt: skip


def _long_lag(stand: Stand) -> None:
    stand.link.lag = 1.5


steps(_LINK, "each message 1.5 s late", _long_lag, _restore, _down("timeout"), peer=True)


def _black_hole(stand: Stand) -> None:
    stand.link.data = "vanishes"


def _drip(stand: Stand) -> None:
    stand.link.data = "drips"


def _cut(stand: Stand) -> None:
    stand.link.newcomers = "are cut"
    stand.link.cut()


def _reset(stand: Stand) -> None:
    stand.link.newcomers = "are reset"
    stand.link.reset()


steps(_LINK, "black hole: nothing arrives", _black_hole, _restore, _down("timeout"), peer=True)
steps(_LINK, "drip: ten bytes a second", _drip, _restore, _down("timeout"), peer=True)
steps(_LINK, "connections cut once", lambda stand: stand.link.cut(), None, _REPLACED,
      peer=True)  # fmt: skip
steps(_LINK, "connections reset once (RST)", lambda stand: stand.link.reset(), None,
      _REPLACED, peer=True)  # fmt: skip
steps(_LINK, "all connections cut", _cut, _restore, _down("protocol"), peer=True)
steps(_LINK, "all connections reset (RST)", _reset, _restore, _down("protocol"), peer=True)


def _bouncer_down(reason: str) -> Expected:
    return Expected("bouncer edge", reason, cause="target_unreachable", check="targets")


@fault(_BOUNCER, "PAUSE: clients wait",
       Expected(series="pg_bouncer_oldest_waiting_seconds", least=0.1, most=99,
                check="waiting_requests"),
       needs="bouncer")  # fmt: skip
def _paused(stand: Stand) -> Iterator[None]:
    bouncer = stand.bouncer
    assert bouncer is not None
    with psycopg.connect(bouncer.dsn("shop", "app"), autocommit=True) as client:
        bouncer.console("PAUSE shop")
        request = threading.Thread(target=client.execute, args=("SELECT 1",))
        request.start()
        yield
        bouncer.console("RESUME shop")
        request.join()


@fault(_BOUNCER, "DISABLE: new clients are refused",
       Expected(series='pg_bouncer_database_disabled{bouncer="edge",database="shop"', least=1,
                most=1),
       needs="bouncer")  # fmt: skip
def _disabled(stand: Stand) -> Iterator[None]:
    assert stand.bouncer is not None
    stand.bouncer.console("DISABLE shop")
    yield
    stand.bouncer.console("ENABLE shop")


@fault(_BOUNCER, "RELOAD a hundred times", needs="bouncer")
def _reloads(stand: Stand) -> Iterator[None]:
    assert stand.bouncer is not None
    for _ in range(100):
        stand.bouncer.console("RELOAD")
    yield


@fault(_BOUNCER, "stopped (SIGSTOP)", _bouncer_down("timeout"), needs="bouncer")
def _stopped(stand: Stand) -> Iterator[None]:
    assert stand.bouncer is not None
    stand.bouncer.pause()
    yield
    stand.bouncer.resume()


@fault(_BOUNCER, "ended", _bouncer_down("refused"), needs="bouncer")
def _ended(stand: Stand) -> Iterator[None]:
    assert stand.bouncer is not None
    stand.bouncer.stop()
    yield
    stand.bouncer.start()


@fault(_BOUNCER, "restarted", needs="bouncer")
def _restarted(stand: Stand) -> Iterator[None]:
    assert stand.bouncer is not None
    stand.bouncer.restart()
    yield
