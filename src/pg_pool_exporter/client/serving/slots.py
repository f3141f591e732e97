"""The small number by which a process is known on its host.

A process takes the lowest free number of its application with a lock in the socket directory, and
the kernel takes the lock back when it ends, however it ends. So its successor gets the same number
and continues the same series.

A number belongs to the user who took it first: in a sticky directory nobody else may replace its
socket. A number whose path is occupied otherwise is skipped.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import socket
import stat
from contextlib import suppress
from hashlib import sha256
from itertools import islice
from pathlib import Path

from pg_pool_exporter.sockets import SUFFIX, make_directory

_MAX_SLOTS = 1000
_MAX_ENTRIES = 10_000
# Neither block on a FIFO nor follow a link.
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Slot:
    """A number that this process holds from `take` to `release`, or to its end."""

    def __init__(self, directory: Path, app: str) -> None:
        self.number: int | None = None
        self._directory = directory
        self._prefix = _file_prefix(app)
        self._descriptor: int | None = None

    def take(self) -> Path:
        """Take the lowest free number, unless one is held. Returns the path of its socket.

        Raises `OSError` when the directory is unsafe or can't be written, or no number is free.
        """
        if not self._held():
            make_directory(self._directory)
            if not os.access(self._directory, os.W_OK | os.X_OK):
                raise PermissionError(
                    f"{self._directory} can't be written by user {os.geteuid()}: is the user in "
                    "the directory's group, and has the process been restarted since?"
                )
            self.release()
            self.number, self._descriptor = self._lock_lowest()
        return self._path(SUFFIX)

    def sibling_sockets(self) -> list[Path]:
        """Paths of the sockets of the application's other processes."""
        own = self._path(SUFFIX)
        name = re.compile(rf"{re.escape(self._prefix)}-\d{{1,3}}{re.escape(SUFFIX)}", re.ASCII)
        with os.scandir(self._directory) as entries:
            names = [entry.name for entry in islice(entries, _MAX_ENTRIES)]
        found = (self._directory / one for one in names if name.fullmatch(one))
        return sorted(path for path in found if path != own)

    def remove_dead(self) -> None:
        """Remove the sockets of siblings that have ended; only those of this user.

        In a sticky directory nobody but this user and root can. A socket that a successor puts
        there at this moment may go, too: its process binds it again.
        """
        for path in self.sibling_sockets():
            with suppress(OSError):
                if _is_own_socket(path) and _is_dead(path):
                    path.unlink()

    def release(self) -> None:
        """Release the number; in a forked child, let go of the parent's lock file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self.number = self._descriptor = None

    def _path(self, suffix: str, number: int | None = None) -> Path:
        number = self.number if number is None else number
        return self._directory / f"{self._prefix}-{number}{suffix}"

    def _held(self) -> bool:
        """False also when the file was removed: then another process may lock its own."""
        if self._descriptor is None or self.number is None:
            return False
        with suppress(OSError):
            same = os.path.samestat(os.fstat(self._descriptor), self._path(".lock").lstat())
            return same and self._is_ours_to_bind(self.number)
        return False

    def _lock_lowest(self) -> tuple[int, int]:
        for number in range(_MAX_SLOTS):
            with suppress(OSError):
                descriptor = self._lock(number)
                if descriptor is not None:
                    return number, descriptor
        raise OSError(f"all {_MAX_SLOTS} numbers of the application are taken in {self._directory}")

    def _lock(self, number: int) -> int | None:
        """A descriptor that holds the lock; None, or `OSError`, when it can't be had."""
        if not self._is_ours_to_bind(number):
            return None
        descriptor = os.open(self._path(".lock", number), _FLAGS, 0o600)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
                raise PermissionError("another user's")
            # A record lock, not flock: it belongs to this process alone, so a child that is
            # forked by any means doesn't keep it beyond our end.
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def _is_ours_to_bind(self, number: int) -> bool:
        """Whether nothing but a socket of this user stands where ours is to be."""
        try:
            return _is_own_socket(self._path(SUFFIX, number))
        except FileNotFoundError:
            return True


def _is_own_socket(path: Path) -> bool:
    found = path.lstat()
    return stat.S_ISSOCK(found.st_mode) and found.st_uid == os.geteuid()


def _is_dead(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.setblocking(False)
        return client.connect_ex(str(path)) == errno.ECONNREFUSED


def _file_prefix(app: str) -> str:
    """The application's name as a part of a file name; different for different names."""
    plain = re.sub(r"[^A-Za-z0-9_.-]", "_", app)[:32].lstrip(".-")
    if plain == app:
        return plain
    return f"{plain}.{sha256(app.encode('utf-8', 'replace')).hexdigest()[:6]}"
