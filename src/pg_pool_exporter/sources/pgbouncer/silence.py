"""Since when the clients of a bouncer do nothing, as its console's answers prove together.

SHOW CLIENTS has the time of a client's last packet (`request_time`, in whole seconds), and for how
long its request has been going on (`wait` and `wait_us`, 0 without one; see `query_start` in
`src/client.c` and `src/server.c` of PgBouncer). It does not show when the last request ended: a
client without one may have had it for an hour until a moment ago. But if it had none at an earlier
answer, and has sent nothing since, it has done nothing since then, whatever the pool mode.

A packet in the second of the earlier answer might not change the time. So that answer counts only
where the last packet is from a second before: the exporter's own client shows the present one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from pg_pool_exporter.sources.pgbouncer.answers import Row, request_seconds


class _LastPacket(NamedTuple):
    """A client, and when it sent something last."""

    pointer: str
    connect_time: str | None
    request_time: str | None


class Silence:
    """Remembers the clients of the last answer that had no request."""

    def __init__(self) -> None:
        self._since: Mapping[_LastPacket, float] = {}

    def idle_for(
        self, clients: Collection[Row], console: str, asked: float, answered: float
    ) -> Mapping[str, float]:
        """Lower bounds in seconds, by the client's pointer; 0 at its first answer without request.

        `console` is the database of the exporter's own client; the answer came between `asked` and
        `answered`, on a clock that never goes back.
        """
        present = {row.get("request_time") for row in clients if row.get("database") == console}
        since: dict[_LastPacket, float] = {}
        found: dict[str, float] = {}
        for row in clients:
            pointer, time = row.get("ptr"), row.get("request_time")
            if not pointer or time in present or request_seconds(row) is not None:
                continue
            packet = _LastPacket(pointer, row.get("connect_time"), time)
            first = since[packet] = self._since.get(packet, answered)
            found[pointer] = max(0.0, asked - first)
        self._since = since
        return found
