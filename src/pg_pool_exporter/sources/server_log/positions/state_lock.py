"""One exporter at a time writes into a state directory."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from pg_pool_exporter.config import ConfigError, Problem

_NAME = "lock"
_IN_USE = (
    "is in use by another pg-pool-exporter: give each a state_dir of its own, or stop the other one"
)


class StateLock:
    """The lock of `directory`; of "" there is none. It ends with this object or the process.

    Locking blocks: the caller does it in a thread. Raises `ConfigError` when another exporter
    holds the lock. A directory in which no file can be made or locked is not locked: saving
    reports what is wrong with it.
    """

    def __init__(self, directory: str = "") -> None:
        self.directory = directory
        self._descriptor: int | None = None
        self._descriptor = _locked(Path(directory)) if directory else None

    def release(self) -> None:
        """Release the lock, if there is one."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = None

    # A lock that comes after its reload has timed out must not stay.
    __del__ = release


def _locked(directory: Path) -> int | None:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(directory / _NAME, flags, 0o600)
    except OSError:
        return None
    try:
        # Not a record lock: that would not keep out a second daemon of the same process.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise ConfigError(directory, [Problem((), _IN_USE)]) from None
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
