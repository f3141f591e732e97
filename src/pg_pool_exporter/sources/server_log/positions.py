"""Up to where each file of a log has been read: which file is which, whatever has been done to it.

Pure: what is there comes in as entries, what is to be read next comes out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

START_BYTES = 512
"""How much of a file's beginning is compared to know it again."""
MOST_KNOWN = 2000
"""Most files whose position is remembered; those that are gone for longest are forgotten first."""
_TELLING = 64
"""Two files that begin with fewer equal bytes need not be copies."""


class Entry(NamedTuple):
    """A file as it was found."""

    key: str
    """Its identity as far as the system tells: device and inode; a name where they are unknown."""
    size: int
    modified: float
    start: bytes | None
    """Its first `START_BYTES`, or all if it has fewer; None where nothing has changed since."""


@dataclass(slots=True)
class Position:
    """Where reading goes on in a file."""

    key: str
    length: int
    """Bytes of its beginning that `digest` is of."""
    digest: str
    offset: int
    """Everything before it has been counted; a line begins there, or else `skipping` is true."""
    skipping: bool = False
    size: int = 0
    modified: float = 0.0
    pending: int = 0
    """Bytes behind `offset` that have been read: a line that is not complete yet."""
    copy_of: str | None = None
    """The file whose content it shares, and from which that is counted."""

    @property
    def lag(self) -> int:
        """Bytes that are there and have not been read."""
        return 0 if self.copy_of is not None else max(0, self.size - self.offset - self.pending)

    def is_of(self, start: bytes) -> bool:
        """Whether a file that begins with `start` can be this one."""
        return len(start) >= self.length and _digest(start[: self.length]) == self.digest

    def remember(self, start: bytes) -> None:
        """Know the file by this beginning from now on."""
        self.length, self.digest = len(start), _digest(start)


class Positions:
    """The positions in all files of a log.

    `known` are those of an earlier run. Without any, what is there at the first `observe` counts
    as read (`from_end`); otherwise a file that is not known is new and is read from its beginning.

    With `unique_starts` two files that begin with the same bytes are one and its copy. That holds
    where records begin with the time.
    """

    def __init__(
        self, known: Iterable[Position] = (), *, from_end: bool, unique_starts: bool
    ) -> None:
        self._known = {position.key: position for position in known}
        self._from_end = from_end
        self._unique_starts = unique_starts

    @property
    def known(self) -> Iterable[Position]:
        """All positions."""
        return self._known.values()

    @property
    def lag(self) -> int:
        """Bytes that are there and have not been read."""
        return sum(position.lag for position in self._known.values())

    def is_unchanged(self, key: str, size: int, modified: float) -> bool:
        """Whether a file is as it was, so that its beginning need not be looked at."""
        position = self._known.get(key)
        return position is not None and (position.size, position.modified) == (size, modified)

    def observe(self, entries: Iterable[Entry]) -> None:
        """Take note of what is there now."""
        entries = list(entries)
        present = {entry.key for entry in entries}
        changed = [(entry, entry.start) for entry in entries if entry.start is not None]
        originals = list(self._known.values())
        for entry, start in changed:
            if entry.key not in self._known:
                self._add(entry, start, originals)
        for entry, start in changed:
            self._update(self._known[entry.key], entry, start)
        for position in self._known.values():
            # Nothing more comes from the file it was copied from.
            if position.copy_of is not None and position.copy_of not in present:
                self._release(position)
        self._from_end = False
        for surplus in sorted(self._known.values(), key=lambda one: -one.modified)[MOST_KNOWN:]:
            del self._known[surplus.key]

    def behind(self) -> list[Position]:
        """Those with something to read, the oldest first."""
        found = [position for position in self._known.values() if position.lag]
        return sorted(found, key=lambda position: position.modified)

    def _add(self, entry: Entry, start: bytes, originals: Iterable[Position]) -> None:
        position = Position(entry.key, len(start), _digest(start), 0)
        self._known[entry.key] = position
        if self._from_end:
            # From the last byte on: whether the line was complete shows when it is read.
            position.offset = max(0, entry.size - 1)
            position.skipping = entry.size > 0
            position.pending = entry.size - position.offset
        elif self._unique_starts:
            for original in originals:
                if original.length >= _TELLING and original.is_of(start):
                    position.copy_of = original.key
                    position.offset, position.skipping = original.offset, original.skipping

    def _update(self, position: Position, entry: Entry, start: bytes) -> None:
        # A copy can be shorter than what has been read, as long as it is being made.
        shorter = entry.size < position.offset and position.copy_of is None
        if shorter or not position.is_of(start):
            # Truncated, or another file that was given the same inode. What had been read of it
            # goes on in its copy, if there is one.
            for other in self._known.values():
                if other.copy_of == position.key:
                    self._release(other)
            position.offset = position.pending = 0
            position.skipping = False
            position.copy_of = None
        position.remember(start)
        position.size, position.modified = entry.size, entry.modified

    def _release(self, position: Position) -> None:
        """Read a copy by itself, from where its original has been read to."""
        original = self._known.get(position.copy_of or "")
        if original is not None:
            position.offset, position.skipping = original.offset, original.skipping
        position.copy_of = None


def _digest(start: bytes) -> str:
    return sha256(start).hexdigest()
