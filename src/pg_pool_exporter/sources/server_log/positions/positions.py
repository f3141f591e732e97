"""How far each file of a log has been read, through renames, copies and truncation. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

START_BYTES = 512
"""Bytes of a file's beginning that identify it."""
MOST_FILES = 1000
"""Files of one log that are looked at, the newest; others are ignored."""
MOST_KNOWN = 2000
"""Files whose position is remembered; the least recently modified are forgotten first."""
_COPY_BYTES = 64
"""Files with fewer equal bytes at their beginning are not taken for copies."""


class Entry(NamedTuple):
    """A file found."""

    key: str
    """Its identity: device and inode, or a name where they are unknown."""
    size: int
    modified: float
    start: bytes | None
    """Its first `START_BYTES` bytes; None if it is unchanged."""


@dataclass(slots=True)
class Position:
    """Where reading continues in a file."""

    key: str
    length: int
    """Bytes of its beginning covered by `digest`."""
    digest: str
    offset: int
    """Everything before it has been counted. A line begins there, unless `skipping` is true."""
    skipping: bool = False
    size: int = 0
    modified: float = 0.0
    pending: int = 0
    """Bytes after `offset` that have been read: an incomplete line or object."""
    copy_of: str | None = None
    """Key of the file that it is a copy of, whose content is counted instead."""

    @property
    def lag(self) -> int:
        """Bytes not read yet."""
        return 0 if self.copy_of is not None else max(0, self.size - self.offset - self.pending)

    def is_of(self, start: bytes) -> bool:
        """Whether a file that begins with `start` can be this one."""
        return len(start) >= self.length and _digest(start[: self.length]) == self.digest

    def remember(self, start: bytes) -> None:
        """Identify the file by this beginning from now on."""
        self.length, self.digest = len(start), _digest(start)


class Positions:
    """The positions in all files of a log.

    `known` are those of an earlier run. With `from_end` the content found by the first `observe`
    counts as read; later files are read from their beginning.

    With `look_back` so many bytes at the end of the newest of them do not.

    With `unique_starts` a file that begins with the same bytes as another is its copy. That holds
    if records begin with the time.
    """

    def __init__(
        self,
        known: Iterable[Position] = (),
        *,
        from_end: bool,
        unique_starts: bool,
        look_back: int = 0,
    ) -> None:
        self._look_back = look_back
        self._known = {position.key: position for position in known}
        self._from_end = from_end
        self._unique_starts = unique_starts

    @property
    def known(self) -> Iterable[Position]:
        """The positions by file, as they are saved."""
        return self._known.values()

    @property
    def lag(self) -> int:
        """Bytes not read yet."""
        return sum(position.lag for position in self._known.values())

    def is_unchanged(self, key: str, size: int, modified: float) -> bool:
        """Whether a file has the size and time of the last `observe`."""
        position = self._known.get(key)
        return position is not None and (position.size, position.modified) == (size, modified)

    def observe(self, entries: Iterable[Entry]) -> None:
        """Update the positions from all files that exist now."""
        entries = list(entries)
        present = {entry.key for entry in entries}
        changed = [(entry, entry.start) for entry in entries if entry.start is not None]
        originals = _Originals(self._known.values())
        newest = max(entries, key=lambda one: one.modified, default=None)
        for entry, start in changed:
            if entry.key not in self._known:
                self._add(entry, start, originals, self._look_back if entry is newest else 0)
        for entry, start in changed:
            self._update(self._known[entry.key], entry, start)
        for position in self._known.values():
            # The original is gone: the copy is read instead.
            if position.copy_of is not None and position.copy_of not in present:
                self._release(position)
        self._from_end = False
        for surplus in sorted(self._known.values(), key=lambda one: -one.modified)[MOST_KNOWN:]:
            del self._known[surplus.key]

    def behind(self) -> list[Position]:
        """Files with unread bytes, the oldest first."""
        found = [position for position in self._known.values() if position.lag]
        return sorted(found, key=lambda position: position.modified)

    def _add(self, entry: Entry, start: bytes, originals: _Originals, look_back: int) -> None:
        position = Position(entry.key, len(start), _digest(start), 0)
        self._known[entry.key] = position
        if self._from_end:
            # The last byte is read again: it shows whether the last line was complete.
            position.offset = max(0, entry.size - 1 - look_back)
            position.skipping = position.offset > 0 or (entry.size > 0 and not look_back)
            position.pending = 0 if look_back else entry.size - position.offset
        elif self._unique_starts:
            original = originals.of(start)
            if original is not None:
                position.copy_of = original.key
                position.offset, position.skipping = original.offset, original.skipping

    def _update(self, position: Position, entry: Entry, start: bytes) -> None:
        # A copy under way is shorter than what was read of its original.
        shorter = entry.size < position.offset and position.copy_of is None
        if shorter or not position.is_of(start):
            # Truncated, or a new file with the same inode. A copy, if there is one, is read on
            # from here.
            for other in self._known.values():
                if other.copy_of == position.key:
                    self._release(other)
            position.offset = position.pending = 0
            position.skipping = False
            position.copy_of = None
        position.remember(start)
        position.size, position.modified = entry.size, entry.modified

    def _release(self, position: Position) -> None:
        """Read a copy independently, from where its original has been read to."""
        original = self._known.get(position.copy_of or "")
        if original is not None:
            position.offset, position.skipping = original.offset, original.skipping
        position.copy_of = None


class _Originals:
    """Files that a new one may be a copy of, found without comparing it with each."""

    def __init__(self, positions: Iterable[Position]) -> None:
        self._by_start: dict[int, dict[str, Position]] = {}
        for position in positions:
            if position.length >= _COPY_BYTES:
                self._by_start.setdefault(position.length, {})[position.digest] = position

    def of(self, start: bytes) -> Position | None:
        """The file that `start` can be the beginning of, by its longest known beginning."""
        for length in sorted(self._by_start, reverse=True):
            if (
                length <= len(start)
                and (digest := _digest(start[:length])) in self._by_start[length]
            ):
                return self._by_start[length][digest]
        return None


def _digest(start: bytes) -> str:
    return sha256(start).hexdigest()
