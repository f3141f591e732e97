"""Metrics pages whose answer can be changed while they are served, over HTTP and HTTPS."""

from __future__ import annotations

import asyncio
import ssl
import threading
from contextlib import suppress
from typing import Self

import trustme

from support.pages import Answer, Peer
from support.programs import free_port


class Page:
    """A page at a port of the loopback, served by a thread of its own: a context manager."""

    def __init__(self, answer: Answer, tls: ssl.SSLContext | None = None) -> None:
        self.usual = answer
        self.answer = answer
        """What the next connection gets."""
        self.port = free_port()
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self.open()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.shut()
        asyncio.run_coroutine_threadsafe(_cancel_others(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def open(self) -> None:
        """Accept connections."""
        starting = asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._tls)
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result(10)

    def shut(self) -> None:
        """Refuse connections."""
        assert self._server is not None
        self._loop.call_soon_threadsafe(self._server.close)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await self.answer(Peer(reader, writer))
        finally:
            writer.close()


class Certificates:
    """A server's TLS context whose certificate can be exchanged, and the authority's file."""

    def __init__(self) -> None:
        self.authority = trustme.CA()
        self._own = self.authority.issue_cert("127.0.0.1")
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._own.configure_cert(self.context)

    def use_one_of_a_stranger(self) -> None:
        """Present a certificate that another authority has signed."""
        trustme.CA().issue_cert("127.0.0.1").configure_cert(self.context)

    def use_own(self) -> None:
        """Present the right one."""
        self._own.configure_cert(self.context)


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
