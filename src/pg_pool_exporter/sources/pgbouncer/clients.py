"""Rows of SHOW CLIENTS and SHOW SERVERS to the clients of each pool, and their connections."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

from pg_pool_exporter.aggregate import added, grouped, oldest
from pg_pool_exporter.model import BouncerOrigin, BouncerPoolKey, ClientGroup, Hold
from pg_pool_exporter.sources.pgbouncer.answers import Answers, Row, number, request_seconds
from pg_pool_exporter.sources.pgbouncer.times import ConsoleClock

_STATES = {
    "active": "active",
    "idle": "idle",
    "waiting": "waiting",
    "active_cancel_req": "cancel",
    "waiting_cancel_req": "cancel",
    # PgDog's, of clients that have a connection.
    "idle in transaction": "active",
    "transaction error": "active",
    "receiving data": "active",
    "copy mode": "active",
}
_UNIX = "unix"
_MOST_NAME = 63
"""Bytes that a server keeps of an `application_name`."""
_MOST_ADDRESS = 100


class PoolClients(NamedTuple):
    """The clients of one pool."""

    origins: Mapping[BouncerOrigin, ClientGroup]
    holds: tuple[Hold, ...]
    """The connections to the server that have a client, the one of the oldest request first."""


NO_CLIENTS = PoolClients({}, ())


class _Client(NamedTuple):
    origin: BouncerOrigin
    pointer: str
    port: str
    state: str
    silent_for: float | None
    link: str
    """The pointer of its connection to the server."""
    idle_for: float | None
    """Lower bound; None where it is unknown."""
    request: float | None
    """Seconds since the one that has no answer yet."""

    @property
    def is_idle(self) -> bool:
        """Whether it has neither a connection nor a request."""
        return self.state == "idle" and self.request is None


def clients(
    answers: Answers, idle_for: Mapping[str, float]
) -> Mapping[BouncerPoolKey, PoolClients] | None:
    """The clients by pool; None where the console shows none, or too many to be read.

    `idle_for` is by a client's pointer (see `Silence`).
    """
    if answers.clients is None:
        return None
    clock = ConsoleClock(answers)
    forced = {row.get("name"): row.get("force_user") for row in answers.databases or ()}
    found: dict[BouncerPoolKey, _Found] = {}
    by_pointer: dict[str, _Client] = {}
    holding: set[str] = set()
    for row in answers.clients:
        database, state = row.get("database"), _STATES.get(row.get("state") or "")
        if database is None or database == answers.console or state is None:
            continue
        # Clients have the name that they log in with, pools the one of their connections.
        user = forced.get(database) or row.get("user")
        if user is None:
            continue
        own = row.get("user") or ""
        client = _client(row, state, clock, idle_for, "" if own == user else own)
        found.setdefault(BouncerPoolKey(database, user), _Found()).add(client)
        if pointer := row.get("ptr"):
            by_pointer[pointer] = client
    for row in answers.servers or ():
        assigned = by_pointer.get(row.get("link") or "")
        database, user = row.get("database"), row.get("user")
        if assigned is None or database is None or user is None:
            continue
        if row.get("ptr") in (None, assigned.link):  # else it has returned it meanwhile
            holding.add(assigned.pointer)
            key = BouncerPoolKey(database, user)
            found.setdefault(key, _Found()).holds.append(_hold(row, assigned, user))
    return {key: one.frozen(holding) for key, one in found.items()}


@dataclass(slots=True)
class _Found:
    by_origin: dict[BouncerOrigin, list[_Client]] = field(default_factory=dict)
    holds: list[Hold] = field(default_factory=list)

    def add(self, client: _Client) -> None:
        self.by_origin.setdefault(client.origin, []).append(client)

    def frozen(self, holding: Set[str]) -> PoolClients:
        holds = sorted(self.holds, key=lambda one: -(one.silent_for or 0.0))
        groups = {origin: _group(each, holding) for origin, each in self.by_origin.items()}
        return PoolClients(groups, tuple(holds))


def _group(some: Iterable[_Client], holding: Set[str]) -> ClientGroup:
    some = list(some)
    counts = dict.fromkeys(("idle", "active", "waiting"), 0.0)
    silent: dict[str, float] = {}
    for one in some:
        counts[one.state] = counts.get(one.state, 0.0) + 1
        if one.silent_for is not None:
            silent[one.state] = max(one.silent_for, silent.get(one.state, 0.0))
    without = [one for one in some if one.state != "cancel" and one.pointer not in holding]
    return ClientGroup(
        counts=counts,
        oldest_waiting=oldest(one.request for one in some if one.state == "waiting"),
        oldest_active=silent.get("active"),
        oldest_silent=silent,
        idle_for=tuple(one.idle_for or 0.0 for one in without if one.is_idle),
        waiting_for=tuple(one.request or 0.0 for one in without if not one.is_idle),
    )


def _client(
    row: Row, state: str, clock: ConsoleClock, idle_for: Mapping[str, float], user: str
) -> _Client:
    address = (row.get("addr") or "")[:_MOST_ADDRESS]
    if state == "active" and "link" in row and not row["link"]:
        state = "idle"  # so PgBouncer shows it from 1.25 on
    application = _without_host(row.get("application_name") or "", address, row.get("port") or "")
    where = "" if address == _UNIX else address
    return _Client(
        origin=BouncerOrigin(application[:_MOST_NAME], where, user),
        pointer=row.get("ptr") or "",
        port=row.get("port") or "",
        state=state,
        silent_for=clock.age(row.get("request_time")),
        link=row.get("link") or "",
        idle_for=idle_for.get(row.get("ptr") or ""),
        request=request_seconds(row),
    )


def _hold(row: Row, client: _Client, user: str) -> Hold:
    host = (row.get("addr") or "")[:_MOST_ADDRESS]
    pid = number(row, "remote_pid")
    return Hold(
        application=client.origin.application,
        address=client.origin.address,
        port=client.port,
        silent_for=client.silent_for,
        server_host="" if host == _UNIX else host,
        server_port=row.get("port") or "",
        pid=int(pid) if pid else None,
        user=user,
        origin_user=client.origin.user,
        idle_for=client.idle_for or 0.0,
        request=client.request,
    )


def _without_host(application: str, address: str, port: str) -> str:
    """The name without what `application_name_add_host` adds to it."""
    if " - " not in application:
        return application
    if address == _UNIX:
        return re.sub(r" - unix(\(\d+@[^()]*\))?:\d+\Z", "", application)
    host = f"[{address}]" if ":" in address else address
    return application.removesuffix(f" - {host}:{port}")


def merged(groups: Iterable[ClientGroup]) -> ClientGroup:
    """Several groups as one: counts add, ages take the maximum."""
    groups = list(groups)
    if len(groups) == 1:
        return groups[0]
    silent: dict[str, float] = {}
    for group in groups:
        for state, seconds in group.oldest_silent.items():
            silent[state] = max(seconds, silent.get(state, 0.0))
    return ClientGroup(
        counts=added(group.counts for group in groups),
        oldest_waiting=oldest(group.oldest_waiting for group in groups),
        oldest_active=oldest(group.oldest_active for group in groups),
        oldest_silent=silent,
        idle_for=tuple(chain.from_iterable(group.idle_for for group in groups)),
        waiting_for=tuple(chain.from_iterable(group.waiting_for for group in groups)),
    )


def merged_origins(
    some: Iterable[Mapping[BouncerOrigin, ClientGroup]],
) -> Mapping[BouncerOrigin, ClientGroup]:
    """The clients of several pools."""
    groups = grouped(pair for origins in some for pair in origins.items())
    return {origin: merged(each) for origin, each in groups.items()}
