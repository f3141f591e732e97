"""Reads the pages of instrumented processes on this host, at their unix sockets."""

from __future__ import annotations

import errno
from collections.abc import Set
from dataclasses import dataclass, field
from typing import NoReturn

import aiohttp

from pg_pool_exporter.model import Snapshot
from pg_pool_exporter.sockets import PAGE_PATH
from pg_pool_exporter.sources.base import PollError, TargetGoneError
from pg_pool_exporter.sources.http.fetch import NotConnectedError
from pg_pool_exporter.sources.pages.socket_file import SocketFile
from pg_pool_exporter.sources.pages.text_source import ExpositionTextSource


@dataclass(slots=True)
class _Owner:
    user: int
    sockets: set[SocketFile] = field(default_factory=set)


class AppOwners:
    """The user who owns an application's name: the one whose process had it first.

    A name is free again when no process of that user has it any more.
    """

    def __init__(self) -> None:
        self._owners: dict[str, _Owner] = {}
        self._apps: dict[SocketFile, Set[str]] = {}

    def claim(self, socket: SocketFile, apps: Set[str]) -> int | None:
        """Note which applications the page of `socket` names now.

        Returns the owner of one of them, if that is another user; then nothing changes.
        """
        for app in apps:
            owner = self._owners.get(app)
            if owner is not None and owner.user != socket.user:
                return owner.user
        self.release(socket)
        for app in apps:
            self._owners.setdefault(app, _Owner(socket.user)).sockets.add(socket)
        self._apps[socket] = apps
        return None

    def release(self, socket: SocketFile) -> None:
        """Forget the applications of a process that has ended."""
        for app in self._apps.pop(socket, frozenset()):
            owner = self._owners[app]
            owner.sockets.discard(socket)
            if not owner.sockets:
                del self._owners[app]


class SocketSource:
    """The page of one process. `owners` are shared by all processes of the host."""

    def __init__(self, socket: SocketFile, owners: AppOwners) -> None:
        self._socket = socket
        self._owners = owners
        # A new connection each time, so that no thread of the process waits for us. Uncompressed:
        # compression costs the application more than it saves.
        self._page = ExpositionTextSource(
            f"http://localhost{PAGE_PATH}",
            connector=lambda: aiohttp.UnixConnector(str(socket.path), force_close=True),
            encoding="identity",
            owner=socket.user,
        )

    async def poll(self) -> Snapshot:
        """Read the page. The socket of a process that has ended is removed."""
        if not self._socket.in_place():
            raise TargetGoneError
        try:
            snapshot = await self._page.poll()
        except NotConnectedError as error:
            if error.errno in (errno.ECONNREFUSED, errno.ENOENT):
                self._remove()
            raise
        other = self._owners.claim(self._socket, {pool.key.app for pool in snapshot.pools})
        if other is not None:
            raise PollError(
                "permission",
                f"user {self._socket.user} uses the name of an application of user {other}: set "
                "PG_POOL_EXPORTER_APP to another name for one of them",
            )
        return snapshot

    def _remove(self) -> NoReturn:
        """Remove a socket without a listener."""
        try:
            self._socket.remove()
        except OSError as error:
            raise PollError(
                "refused", f"no process listens, and its socket stays: {error.strerror}"
            ) from None
        raise TargetGoneError

    async def close(self) -> None:
        """Close the connection, if there is one."""
        self._owners.release(self._socket)
        await self._page.close()
