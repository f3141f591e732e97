"""The identity of a unix socket's file, so that a successor at its path is another one."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import NamedTuple


class SocketFile(NamedTuple):
    """A real socket (no symbolic link) in the file system. Two are equal if they are the same."""

    path: Path
    device: int
    inode: int
    made: int
    """Creation time in nanoseconds, because inode numbers are reused."""
    user: int
    """The user id of its owner."""

    @classmethod
    def at(cls, path: Path) -> SocketFile | None:
        """The socket at `path`; None when there is none. Raises `OSError`."""
        try:
            found = path.lstat()
        except FileNotFoundError:
            return None
        if not stat.S_ISSOCK(found.st_mode):
            return None
        return cls(path, found.st_dev, found.st_ino, found.st_mtime_ns, found.st_uid)

    def remove(self) -> None:
        """Remove it, unless a successor has its own at the path by now. Raises `OSError`."""
        if self.in_place():
            self.path.unlink(missing_ok=True)

    def in_place(self) -> bool:
        """Whether this very socket is still at its path."""
        return SocketFile.at(self.path) == self
