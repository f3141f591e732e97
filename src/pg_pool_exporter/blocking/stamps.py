"""What tells that a file has changed. The standard library only."""

from __future__ import annotations

from pathlib import Path

Stamp = tuple[int, ...]


def stamp(path: str | Path) -> Stamp:
    """Another value after each change of the file or of its rights; empty when it can't be looked
    at.
    """
    try:
        found = Path(path).stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino
