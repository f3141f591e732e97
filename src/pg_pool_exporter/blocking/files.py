"""The one way to read a file: regular, of bounded size, in a thread, with a deadline.

A named pipe, a device or a hung network mount in place of a file delays its reader alone.
`content`, `check_openable` and `stamp` block the calling thread: they are for work in a lane. The
others are for callers outside of the event loop and take at most `SECONDS`.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Hashable
from functools import partial
from pathlib import Path
from typing import TypeVar

from pg_pool_exporter.blocking.threads import Lane, LaneFullError

T = TypeVar("T")
Stamp = tuple[int, ...]

SECONDS = 5.0
_MAX_LINKS = 10
_OTHER_KIND = "is not a regular file (but a directory, pipe, socket or device)"
_LANE = Lane("files", threads=32)


class FileError(Exception):
    """A file can't be used. The message is a predicate about it, without its path."""


class MissingFileError(FileError):
    """There is no such file."""


def read(path: str | Path, most_bytes: int, *, secret: bool = False) -> bytes:
    """`content` with a deadline."""
    work = partial(content, path, most_bytes, secret=secret)
    # The whole of it: a read with other bounds must not share the result.
    return _within(work, ("read", str(path), most_bytes, secret))


def check(path: str | Path, *, secret: bool = False) -> None:
    """Raise `FileError` where the file can't be opened to be read."""
    _within(lambda: os.close(_opened(path, secret)), ("check", str(path), secret))


def check_directory(path: str | Path) -> None:
    """Raise `FileError` where something other than a directory is at `path`.

    A missing one is left to who needs it.
    """

    def is_other() -> bool:
        try:
            return not stat.S_ISDIR(Path(path).stat().st_mode)
        except FileNotFoundError:
            return Path(path).is_symlink()

    if _within(is_other, ("directory", str(path))):
        raise FileError("is not a directory")


def mode(path: str | Path) -> int:
    """The file's mode; 0, which allows nobody anything, where it is unknown."""
    try:
        return _within(lambda: Path(path).stat().st_mode, ("mode", str(path)))
    except FileError:
        return 0


def hung() -> tuple[str, ...]:
    """Paths of the files that are being read at the moment, longest first."""
    return tuple(str(key[1]) for key in _LANE.under_way if isinstance(key, tuple))


def content(path: str | Path, most_bytes: int, *, secret: bool = False) -> bytes:
    """The content of a regular file. Raises `FileError`.

    A `secret` may be a symbolic link only if the link belongs to root or to this user: another
    user's could lead to another secret of ours. Directories on the way may be links, as `..data`
    in Kubernetes' secret volumes.
    """
    descriptor = _opened(path, secret)
    try:
        pieces = []
        left = most_bytes + 1
        while left and (piece := os.read(descriptor, left)):
            pieces.append(piece)
            left -= len(piece)
    except OSError as error:
        raise _unreadable(error) from None
    finally:
        os.close(descriptor)
    if not left:
        raise FileError(f"is larger than {most_bytes // 1024} KiB")
    return b"".join(pieces)


def check_openable(path: str | Path) -> None:
    """Raise `FileError` where a library that opens the file itself would wait: at a pipe or device.

    For work in a lane: on a hung mount it hangs, so that the library does not. Other faults of the
    file are left to the library.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except (OSError, ValueError):
        return
    try:
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode):
            os.read(descriptor, 1)
        elif not stat.S_ISDIR(found.st_mode) and found.st_rdev != Path(os.devnull).stat().st_rdev:
            raise FileError("is not a regular file (but a pipe or device)")
    except OSError:
        return
    finally:
        os.close(descriptor)


def stamp(path: str | Path) -> Stamp:
    """Another value after each change of the file or of its mode; empty where it is missing."""
    try:
        found = Path(path).stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size


def _within(work: Callable[[], T], key: tuple[Hashable, ...]) -> T:
    try:
        return _LANE.wait(work, key=key, seconds=SECONDS)
    except TimeoutError:
        raise FileError(f"cannot be read within {SECONDS:g} s: is its file system hung?") from None
    except LaneFullError as error:
        raise FileError(f"cannot be read: {error}") from None
    except OSError as error:
        raise _unreadable(error) from None


def _opened(path: str | Path, secret: bool) -> int:
    # Without O_NONBLOCK a named pipe without a writer would block.
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    try:
        if secret:
            path, flags = _followed(path), flags | os.O_NOFOLLOW
        descriptor = os.open(path, flags)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENXIO:
            raise FileError(_OTHER_KIND) from None  # a socket
        raise _unreadable(error) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileError(_OTHER_KIND)
    return descriptor


def _followed(path: str | Path) -> Path:
    """The target of the links at `path`, if we may follow them."""
    path = Path(path)
    for _ in range(_MAX_LINKS):
        found = path.lstat()
        if not stat.S_ISLNK(found.st_mode):
            break
        if found.st_uid not in (0, os.geteuid()):
            raise FileError("is a symbolic link of another user, which is not followed")
        path = path.parent / path.readlink()
    return path


def _unreadable(error: OSError | ValueError) -> FileError:
    kind = MissingFileError if isinstance(error, FileNotFoundError) else FileError
    return kind(f"cannot be read: {getattr(error, 'strerror', None) or 'not a valid path'}")
