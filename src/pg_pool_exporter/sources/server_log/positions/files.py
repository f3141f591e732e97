"""The files of a log on this host: found, identified and read. Blocking: for a thread."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from glob import iglob
from itertools import chain, islice
from stat import S_ISREG
from typing import NamedTuple

from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.server_log.positions.positions import (
    MOST_FILES,
    START_BYTES,
    Entry,
    Position,
    Positions,
)

_MOST_MATCHES = 20_000
# The newest files stay open: their last lines can be read after a rename or removal.
_KEPT_OPEN = 4
# Rotated files too, as long as a process may write to them; each costs a descriptor.
_MOST_OPEN = 8
_IDLE_SECONDS = 600.0
_COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".lz4")
# First bytes of files whose bytes are no lines.
_NO_LINES = {
    b"\x1f\x8b": "compressed with gzip",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ": "compressed with xz",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
    b"\x04\x22\x4d\x18": "compressed with lz4",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


class _Found(NamedTuple):
    path: str
    key: str
    size: int
    modified: float


class LogFiles:
    """The files that match the `patterns`, and their rotated versions.

    A rotated file has the same name with an addition after a dot or a dash.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = tuple(patterns)
        self._open: dict[str, int] = {}
        self._paths: dict[str, str] = {}

    def scan(
        self, positions: Positions, form: str, has_format: Callable[[str], bool]
    ) -> PollError | None:
        """Update the positions from the files found; returns a problem, if there is one.

        `form` is the name of the format read, `has_format` selects files by their paths. A problem
        with one file does not keep others from being read.
        """
        found, left_out, unmatched = self._find(has_format)
        for key in left_out:
            self._close(key)
        self._paths = {one.key: one.path for one in found}
        newest = {one.key for one in found[:_KEPT_OPEN]}
        problem: PollError | None = None
        entries: list[Entry] = []
        for one in found:
            stays = one.key in newest or one.key in self._open
            if positions.is_unchanged(one.key, one.size, one.modified) and (
                one.key in self._open or not stays
            ):
                entries.append(Entry(one.key, one.size, one.modified, None))
                continue
            try:
                if self._opened(one.key) is not None:
                    entry = self._entry(one.key)
                    no_lines = _no_lines(one.path, entry.start or b"")
                    if no_lines is None:
                        entries.append(entry)
                    else:
                        problem, stays = no_lines, False
            except OSError as error:
                problem = _unreadable(one.path, error)
            if not stays:
                self._close(one.key)
        present = {one.key for one in found}
        entries += [self._entry(key) for key in self._open.keys() - present]
        positions.observe(entries)
        self._close_idle(newest, positions)
        if problem is None and (unmatched or not found):
            problem = _missing(unmatched or self._patterns, form, rotated=bool(found))
        return problem

    @property
    def paths(self) -> Iterable[str]:
        """Those of the files found by the last scan."""
        return self._paths.values()

    def read(self, position: Position, at: int, most: int) -> bytes:
        """At most `most` bytes at offset `at`; none at the end, or if the file is gone."""
        try:
            descriptor = self._opened(position.key)
            return b"" if descriptor is None else os.pread(descriptor, most, at)
        except OSError as error:
            raise _unreadable(self._paths.get(position.key, "a file"), error) from None

    def close(self) -> None:
        """Close all files."""
        while self._open:
            os.close(self._open.popitem()[1])

    def _find(
        self, has_format: Callable[[str], bool]
    ) -> tuple[list[_Found], Collection[str], list[str]]:
        """The newest files, the newest first, keys of those left out, and patterns that match none.

        Files called like another format are left out, unless there are no others.

        Rotated files do not count as a match: the server no longer writes to them.
        """
        found: dict[str, _Found] = {}
        others: dict[str, _Found] = {}
        unmatched: list[str] = []
        for pattern in self._patterns:
            current = list(_regular_files(pattern))
            if all(path.endswith(_COMPRESSED) for path, _ in current):
                unmatched.append(pattern)
            for path, status in chain(current, _regular_files(f"{pattern}[.-]*")):
                if not path.endswith(_COMPRESSED):
                    key = _key(status)
                    of_format = found if has_format(path) else others
                    of_format[key] = _Found(path, key, status.st_size, status.st_mtime)
        # A shipper's file may be called like another format.
        chosen = found or others
        newest = sorted(chosen.values(), key=lambda one: -one.modified)[:MOST_FILES]
        return newest, others.keys() - chosen.keys(), unmatched

    def _opened(self, key: str) -> int | None:
        """The file's descriptor; None if it was removed or replaced.

        Raises `OSError`.
        """
        if key not in self._open and key in self._paths:
            try:
                flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
                descriptor = os.open(self._paths[key], flags)
            except FileNotFoundError:
                return None
            # Replaced meanwhile; the next scan finds the new file.
            if _key(os.fstat(descriptor)) != key:
                os.close(descriptor)
                return None
            self._open[key] = descriptor
        return self._open.get(key)

    def _entry(self, key: str) -> Entry:
        """The present state of an open file. Raises `OSError`."""
        descriptor = self._open[key]
        status = os.fstat(descriptor)
        start = os.pread(descriptor, START_BYTES, 0)
        return Entry(key, status.st_size, status.st_mtime, start)

    def _close(self, key: str) -> None:
        if key in self._open:
            os.close(self._open.pop(key))

    def _close_idle(self, newest: Collection[str], positions: Positions) -> None:
        """Close files that are read to the end, old, and no longer written to.

        Of more than `_MOST_OPEN` the oldest are closed in any case: one that was removed is lost
        then, others are opened again to be read.
        """
        now = time.time()
        others = [one for one in positions.known if one.key in self._open.keys() - newest]
        others.sort(key=lambda one: -one.modified)
        for place, position in enumerate(others, len(newest)):
            idle = not position.lag and now - position.modified > _IDLE_SECONDS
            if idle or place >= _MOST_OPEN:
                self._close(position.key)


def _regular_files(pattern: str) -> Iterator[tuple[str, os.stat_result]]:
    """Paths that match, never those of named pipes or devices, which could block or never end."""
    for path in islice(iglob(pattern), _MOST_MATCHES):  # noqa: PTH207 - absolute
        try:
            status = os.stat(path)  # noqa: PTH116 - thousands of paths a second
        except OSError:
            continue  # removed meanwhile
        if S_ISREG(status.st_mode):
            yield path, status


def _missing(patterns: Sequence[str], form: str, *, rotated: bool) -> PollError:
    """Why there are no files: the reason of a directory that cannot be read, or none match."""
    for pattern in patterns:
        directory = os.path.dirname(pattern)  # noqa: PTH120 - a pattern, no path
        try:
            os.scandir(directory).close()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            return _unreadable(directory, error)
    shown = ", ".join(patterns)
    if rotated:
        return PollError(
            "other",
            f"no file matches {shown}, only rotated or other files are there: the server's log "
            "was removed, or it logs elsewhere now",
        )
    return PollError(
        "other",
        f"no {form} file matches {shown}: check the path, the server's logging, and the format in "
        "the configuration; compressed files are not read",
    )


def _no_lines(path: str, start: bytes) -> PollError | None:
    """Why a file that begins so cannot be read; None if it can."""
    kind = next((kind for magic, kind in _NO_LINES.items() if start.startswith(magic)), None)
    if kind is None:
        return None
    return PollError(
        "not_understood",
        f"{path} is {kind}: name the file that the server or the shipper writes to, as plain UTF-8",
    )


def _key(status: os.stat_result) -> str:
    return f"{status.st_dev}:{status.st_ino}"


def _unreadable(path: str, error: OSError) -> PollError:
    if isinstance(error, PermissionError):
        return PollError(
            "permission",
            f"{path} cannot be read: {error.strerror}; give the exporter's user read access, for "
            "example through the file's group",
        )
    return PollError("other", f"{path} cannot be read: {error.strerror}")
