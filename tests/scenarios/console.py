"""The admin console of a bouncer on the virtual clock, read by the exporter's own source."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from datetime import UTC, datetime
from typing import Any, TypeVar

from pg_pool_exporter.model import Snapshot
from pg_pool_exporter.sources.pgbouncer.answers import Rows
from scenarios.bouncer import Bouncer
from support.console_source import CONSOLE, ConsoleSource

_DATABASE = "shop"
_EPOCH = 1.8e9
T = TypeVar("T")


class VirtualSource(ConsoleSource):
    """Polls a bouncer of the world."""

    def __init__(self, name: str, bouncer: Bouncer) -> None:
        super().__init__(name, lambda: bouncer.world.now)
        self._bouncer = bouncer

    def snapshot(self) -> Snapshot:
        """What a poll shows now."""
        return _result(self.poll())

    def answer(self, what: str) -> Rows:
        return [
            {column: None if cell is None else str(cell) for column, cell in row.items()}
            for row in _rows(what, self._bouncer)
        ]


def _result(work: Coroutine[Any, Any, T]) -> T:
    """Of work that has nothing to wait for."""
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("a poll on the virtual clock waits")


def _rows(what: str, bouncer: Bouncer) -> Iterable[dict[str, object]]:
    now = _time(bouncer.world.now)
    match what:
        case "VERSION":
            return [{"version": "PgBouncer 1.26.0"}]
        case "CONFIG":
            return [{"key": "max_client_conn", "value": bouncer.most_clients}]
        case "LISTS":
            return [{"list": "used_clients", "items": len(bouncer.clients)}]
        case "STATE":
            return [{"key": "active", "value": "yes"}]
        case "ACTIVE_SOCKETS":
            return [{"database": CONSOLE, "request_time": now}]
        case "POOLS":
            return [_pool(bouncer, user) for user in bouncer.users]
        case "CLIENTS":
            own = {"database": CONSOLE, "user": "stats", "state": "active", "ptr": "own"}
            return [{**own, "request_time": now, "wait": 0, "wait_us": 0}, *_clients(bouncer)]
        case "SERVERS":
            return _servers(bouncer)
        case "DATABASES":
            return [
                {"name": _DATABASE, "host": "db.example", "port": 5432, "database": _DATABASE,
                 "force_user": None, "pool_size": bouncer.size, "reserve_pool_size": 0,
                 "max_connections": 0, "paused": int(bouncer.paused), "disabled": 0}
            ]  # fmt: skip
        case "STATS":
            return [
                {"database": _DATABASE,
                 "total_xact_count": bouncer.counts["transactions"],
                 "total_xact_time": int(bouncer.seconds["transactions"] * 1e6),
                 "total_wait_time": int(bouncer.seconds["waits"] * 1e6),
                 "total_client_login_count": bouncer.counts["logins"]}
            ]  # fmt: skip
    return []


def _pool(bouncer: Bouncer, user: str) -> dict[str, object]:
    waiting = bouncer.waiting.get(user, ())
    longest = max((bouncer.world.now - _request(one) for one, _ in waiting), default=0.0)
    return {
        "database": _DATABASE, "user": user, "pool_mode": bouncer.mode,
        "cl_active": sum(one.user == user for one in bouncer.clients.values()) - len(waiting),
        "cl_waiting": len(waiting),
        "sv_active": len(bouncer.held(user)), "sv_idle": len(bouncer.idle.get(user, ())),
        "sv_used": 0, "sv_tested": 0, "sv_login": bouncer.refused[user],
        "maxwait": int(longest), "maxwait_us": int(longest % 1 * 1e6),
    }  # fmt: skip


def _request(client: Any) -> float:
    since: float | None = client.request
    assert since is not None
    return since


def _clients(bouncer: Bouncer) -> Iterable[dict[str, object]]:
    waiting = {id(client) for queue in bouncer.waiting.values() for client, _ in queue}
    now = bouncer.world.now
    for client in bouncer.clients.values():
        passed = 0.0 if client.request is None else now - client.request
        yield {
            "user": client.user, "database": _DATABASE,
            "state": "waiting" if id(client) in waiting else "active",
            "addr": client.address, "port": client.port,
            "connect_time": _time(client.began), "request_time": _time(client.sent),
            "wait": int(passed), "wait_us": int(passed % 1 * 1e6), "ptr": client.port,
            "link": None if client.backend is None else client.backend.pid,
            "application_name": client.application,
        }  # fmt: skip


def _servers(bouncer: Bouncer) -> Iterable[dict[str, object]]:
    own = {"database": _DATABASE, "addr": "192.0.2.5", "port": 5432}
    for client in bouncer.clients.values():
        if client.backend is not None:
            pid = client.backend.pid
            yield {**own, "user": client.user, "state": "active", "ptr": pid, "remote_pid": pid,
                   "link": client.port, "request_time": _time(client.sent)}  # fmt: skip


def _time(now: float) -> str:
    return datetime.fromtimestamp(_EPOCH + now, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
