"""The small number by which a process is known on its host.

A process takes the lowest free number of its application with a lock in the socket directory, and
the kernel takes the lock back when it ends, however it ends. So its successor gets the same number
and goes on with the same series.
"""

from __future__ import annotations

import fcntl
import os
import re
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from pg_pool_exporter.sockets import SUFFIX, make_directory

_MOST_SLOTS = 1000


class Slot:
    """A number that this process holds from `take` to `release`, or to its end."""

    def __init__(self, directory: Path, app: str) -> None:
        self.number: int | None = None
        self._directory = directory
        self._prefix = _file_prefix(app)
        self._descriptor: int | None = None

    def take(self) -> Path:
        """Take the lowest free number, unless one is held; gives the path of its socket.

        Raises `OSError` when the directory is not a safe one, or none can be taken.
        """
        if not self._held():
            make_directory(self._directory)
            self.release()
            self.number, self._descriptor = self._lock_lowest()
        return self._path(SUFFIX)

    def sibling_sockets(self) -> list[Path]:
        """The sockets of the application's other processes."""
        own = self._path(SUFFIX)
        name = re.compile(rf"{re.escape(self._prefix)}-\d+{re.escape(SUFFIX)}", re.ASCII)
        found = (path for path in self._directory.iterdir() if name.fullmatch(path.name))
        return sorted(path for path in found if path != own)

    def release(self) -> None:
        """Give the number back; in a forked child, let go of the parent's lock file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self.number = self._descriptor = None

    def _path(self, suffix: str) -> Path:
        return self._directory / f"{self._prefix}-{self.number}{suffix}"

    def _held(self) -> bool:
        """False also when somebody has removed the file: then another process may lock its own."""
        if self._descriptor is None:
            return False
        with suppress(OSError):
            return os.path.samestat(os.fstat(self._descriptor), self._path(".lock").lstat())
        return False

    def _lock_lowest(self) -> tuple[int, int]:
        for number in range(_MOST_SLOTS):
            path = self._directory / f"{self._prefix}-{number}.lock"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o660)
            try:
                # A record lock, not flock: it belongs to this process alone, so a child that is
                # forked by any means doesn't keep it beyond our end.
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(descriptor)
                continue
            # Whatever the umask: the next one to have the number may be another user's process.
            with suppress(PermissionError):
                os.fchmod(descriptor, 0o660)
            return number, descriptor
        raise OSError(f"all {_MOST_SLOTS} slots of this application are taken")


def _file_prefix(app: str) -> str:
    """The application's name as it may stand in a file name; different for different names."""
    plain = re.sub(r"[^A-Za-z0-9_.-]", "_", app)[:32].lstrip(".-")
    if plain == app:
        return plain
    return f"{plain}.{sha256(app.encode('utf-8', 'replace')).hexdigest()[:6]}"
