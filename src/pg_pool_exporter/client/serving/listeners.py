"""Where the metrics of a process are served: on its unix socket, and on request on a port.

Each has a thread of its own, which binds it again when it is lost.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from math import inf
from pathlib import Path
from time import monotonic

from pg_pool_exporter.client.faults import log
from pg_pool_exporter.client.serving.server import LOOK_SECONDS, Server
from pg_pool_exporter.client.serving.slots import Slot

# Longest wait for the removal of the socket at the end of the process.
_CLOSE_SECONDS = 1.0


class Listener:
    """A listening socket and a thread that serves there until `close`."""

    def __init__(self, page: Callable[[], str], name: str) -> None:
        self._page = page
        self._closed = threading.Event()
        self._listening: socket.socket | None = None
        self._server: Server | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start serving, without waiting for it."""
        self._thread.start()

    def close(self) -> None:
        """Stop serving, and remove what was put into the file system."""
        self._closed.set()
        listening = self._listening
        if listening is not None:
            with suppress(OSError):  # the thread has closed it meanwhile
                listening.shutdown(socket.SHUT_RDWR)
        if self._thread.is_alive():
            self._thread.join(_CLOSE_SECONDS)

    def abandon(self) -> None:
        """Close the sockets only: in a forked child the address is still the parent's."""
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.close()
        if self._server is not None:
            self._server.abandon_readers()

    def listen(self) -> socket.socket | None:
        """A listening socket; None while another process has the address. Raises `OSError`."""
        raise NotImplementedError

    def in_place(self) -> bool:
        """Whether readers still find the socket."""
        return True

    def leave(self) -> None:
        """Remove what `listen` has put into the file system."""

    def look(self) -> None:
        """Called every few seconds, and after each request."""

    def _run(self) -> None:
        logged = ""
        while not self._closed.is_set():
            try:
                if self._serve():
                    logged = ""
                    continue
            except Exception as error:  # noqa: BLE001 - the thread must go on
                # It can recover: a directory is made later, or made again.
                if logged != str(error):
                    logged = str(error)
                    log.warning("metrics of this process can't be served: %s", error)
            self.look()
            self._closed.wait(LOOK_SECONDS)
        with suppress(OSError):  # its directory may be missing, or another user's
            self.leave()

    def _serve(self) -> bool:
        """Serve until the address is lost; False, at once, while another process has it."""
        self._listening = self.listen()
        if self._listening is None:
            return False
        self._server = Server(self._listening, self._page, self._closed)
        try:
            # A closed socket ends the loop with an error that means nothing.
            with suppress(OSError, ValueError):
                while not self._closed.is_set() and self.in_place():
                    self._server.handle_request()
                    self._server.end_slow_readers()
                    self.look()
        finally:
            self._server.server_close()
            self._listening = None
        return True


class SocketListener(Listener):
    """Serves on the unix socket of a slot. A socket that somebody removes is bound again.

    `each_look` is called every few seconds.
    """

    def __init__(
        self,
        page: Callable[[], str],
        slot: Slot,
        each_look: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(page, "pg-pool-exporter-socket")
        self._slot = slot
        self._each_look = each_look
        self._looked = -inf
        self._path: Path | None = None
        self._bound: os.stat_result | None = None

    def listen(self) -> socket.socket:
        """Bind under a temporary name, then rename: readers find it whole, with its final mode."""
        path = self._slot.take()
        # No other process can know the name and take it first.
        temporary = path.with_name(f".{os.urandom(8).hex()}")
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listening.bind(str(temporary))
            _open_to_group(temporary)
            listening.listen(Server.request_queue_size)
            self._bound = temporary.lstat()
            temporary.rename(path)
        except OSError:
            listening.close()
            temporary.unlink(missing_ok=True)
            raise
        self._path = path
        self._slot.remove_dead()
        return listening

    def in_place(self) -> bool:
        """Whether the path still leads to the socket."""
        if self._path is None or self._bound is None:
            return False
        try:
            return os.path.samestat(self._path.lstat(), self._bound)
        except OSError:
            return False

    def look(self) -> None:
        """Look at the pools, however often pages are read."""
        if monotonic() - self._looked >= LOOK_SECONDS:
            self._looked = monotonic()
            self._each_look()

    def leave(self) -> None:
        """Remove the socket, unless it is another process's by now."""
        if self._path is not None and self.in_place():
            self._path.unlink(missing_ok=True)


class PortListener(Listener):
    """Serves on a port. Of several processes with the same port, one has it at a time."""

    def __init__(self, page: Callable[[], str], host: str, port: int) -> None:
        super().__init__(page, "pg-pool-exporter-port")
        self._address = (host, port)
        self._waiting = False

    def listen(self) -> socket.socket | None:
        """Bind the port; None while another process has it."""
        family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(self._address)
            listening.listen(Server.request_queue_size)
        except Exception as error:
            listening.close()
            if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
                self._wait_for_it()
                return None
            raise
        self._waiting = False
        return listening

    def _wait_for_it(self) -> None:
        # Among the processes of a pre-forking server this is as it should be.
        if not self._waiting:
            log.info(
                "port %d is taken, by another process of the application or by another program; "
                "this process serves it as soon as it is free",
                self._address[1],
            )
        self._waiting = True


def _open_to_group(path: Path) -> None:
    """Let the group connect to a socket of ours; never changes the mode of anything else.

    A member of the group may have put a link in its place since it was bound.
    """
    if not hasattr(os, "O_PATH"):  # not Linux
        path.chmod(0o660, follow_symlinks=False)
        return
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.geteuid():
            raise PermissionError(f"{path} is not the socket that was bound there")
        os.chmod(f"/proc/self/fd/{descriptor}", 0o660)  # noqa: PTH101 - the descriptor, not the path
    finally:
        os.close(descriptor)
