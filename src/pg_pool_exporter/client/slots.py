"""The small number by which a process is known on its host.

A process takes the lowest free number of its application with a lock in the socket directory, and
the kernel takes the lock back when it ends, however it ends. So its successor gets the same number
and goes on with the same series.
"""

from __future__ import annotations

import fcntl
import os
import re
from hashlib import sha256
from pathlib import Path

from pg_pool_exporter.sockets import SUFFIX

_MOST_SLOTS = 1000


def file_prefix(app: str) -> str:
    """The application's name as it may stand in a file name; different for different names."""
    plain = re.sub(r"[^A-Za-z0-9_.]", "_", app)[:32].lstrip(".")
    if plain == app:
        return plain
    return f"{plain}.{sha256(app.encode('utf-8', 'replace')).hexdigest()[:6]}"


class Slot:
    """A number that this process holds until `release` or its end."""

    def __init__(self, directory: Path, app: str, number: int, descriptor: int) -> None:
        self.number = number
        self.socket_path = directory / f"{file_prefix(app)}-{number}{SUFFIX}"
        self._descriptor: int | None = descriptor

    @classmethod
    def take(cls, directory: Path, app: str) -> Slot:
        """The lowest free number. Raises `OSError` when none can be taken."""
        for number in range(_MOST_SLOTS):
            path = directory / f"{file_prefix(app)}-{number}.lock"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o660)
            try:
                # A record lock, not flock: it belongs to this process alone, so a child that is
                # forked by any means doesn't keep it beyond our end.
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(descriptor)
            else:
                return cls(directory, app, number, descriptor)
        raise OSError(f"all {_MOST_SLOTS} slots of this application in {directory} are taken")

    def release(self) -> None:
        """Give the number back; in a forked child, let go of the parent's lock file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
