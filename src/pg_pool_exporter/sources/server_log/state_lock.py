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
    """The lock of at most one directory. It ends with the process, however that ends."""

    def __init__(self) -> None:
        self._directory = ""
        self._descriptor: int | None = None

    def move(self, directory: str) -> None:
        """Hold the lock of `directory` instead of that before; of "" there is none.

        Raises `ConfigError` when another exporter holds it; then the one before stays. A directory
        in which no file can be made or locked is not locked: saving tells what is wrong with it.
        """
        if directory == self._directory:
            return
        descriptor = _locked(Path(directory)) if directory else None
        self.release()
        self._directory, self._descriptor = directory, descriptor

    def release(self) -> None:
        """Let go of the lock, if there is one."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._directory, self._descriptor = "", None


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
