"""To whom a connector is connected, with sockets of its own that are open at one time."""

from __future__ import annotations

import asyncio
import gc
import socket
from weakref import WeakSet

from pg_pool_exporter.sources.http.client import TcpConnector

ADDRESSES = [f"127.0.0.{number}" for number in range(1, 9)]


def test_the_peer_is_that_of_the_latest_connection_though_former_ones_are_not_closed_yet() -> None:
    async def scenario() -> list[str | None]:
        connector = TcpConnector()
        peers = [connector.peer()]
        with socket.create_server(("", 0), backlog=len(ADDRESSES)) as server:
            port = server.getsockname()[1]
            info = (socket.AF_INET, socket.SOCK_STREAM, 0, "")
            opened = []
            for address in ADDRESSES:
                opened.append(connector.open_socket((*info, (address, port))))
                opened[-1].connect((address, port))
                peers.append(connector.peer())
            failed = connector.open_socket((*info, ("127.0.0.1", port)))
            peers.append(connector.peer())
            for one in (*opened, failed):
                one.close()
            peers.append(connector.peer())
        await connector.close()
        return peers

    assert asyncio.run(scenario()) == [None, *ADDRESSES, ADDRESSES[-1], None]


def test_a_connection_that_is_gone_is_not_remembered() -> None:
    async def scenario() -> int:
        connector = TcpConnector()
        sockets = WeakSet[socket.socket]()
        for _ in range(20):
            info = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 1))
            sockets.add(opened := connector.open_socket(info))
            opened.close()
        del opened
        gc.collect()
        assert connector.peer() is None
        return len(sockets)

    assert asyncio.run(scenario()) == 0
