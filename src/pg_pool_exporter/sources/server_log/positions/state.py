"""State of a log that survives a restart: positions and counts, in a small file.

It holds no text of the log, only names of databases.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pg_pool_exporter.blocking.files import FileError, MissingFileError, content
from pg_pool_exporter.sources.server_log.positions.positions import Position

_VERSION = 1
# Neither through a symbolic link nor into a named pipe in its place, which would block.
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_MOST_BYTES = 8 * 1024 * 1024


def default_state_directory() -> str:
    """systemd's StateDirectory=, else a directory of the user's own; "" where there is neither."""
    given = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    if given:
        return given
    base = os.environ.get("XDG_STATE_HOME", "")
    if not Path(base).is_absolute():
        home = os.environ.get("HOME", "")
        base = str(Path(home, ".local/state")) if Path(home).is_absolute() else ""
    return str(Path(base, "pg-pool-exporter")) if base else ""


class StateError(Exception):
    """The file cannot be used or written; the message has the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogState:
    """The saved state. Counts continue, so that between two scrapes no event is missing or counted
    twice.
    """

    source: str
    """Which log it is of: another path or way to read it makes another log."""
    positions: tuple[Position, ...] = ()
    timeouts: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    opened: Mapping[str, float] = field(default_factory=dict)
    closed: Mapping[str, float] = field(default_factory=dict)
    refused: Mapping[str, float] = field(default_factory=dict)
    read: float = 0


class StateFile:
    """The file of one log in `directory`."""

    def __init__(self, directory: Path, name: str) -> None:
        self.path = directory / f"log-{quote(name, safe='')}.json"

    def load(self) -> LogState | None:
        """The state that was saved last, if any. Raises `StateError`."""
        try:
            saved = content(self.path, _MOST_BYTES, secret=True)
        except MissingFileError:
            return None
        except FileError as error:
            raise StateError(f"{self.path} {error}") from None
        try:
            return _state(json.loads(saved))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise StateError(f"{self.path} is damaged, or of another version") from None

    def save(self, state: LogState) -> None:
        """Replace the file as a whole, and only when the new one is on the disk.

        Raises `StateError`.
        """
        values = {
            "version": _VERSION,
            **{one.name: getattr(state, one.name) for one in fields(LogState)},
            "positions": [asdict(position) for position in state.positions],
        }
        new = self.path.with_suffix(".new")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(new, _NEW_FILE, 0o600), "w", encoding="utf-8") as file:
                json.dump(values, file)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self.path)
            _sync(self.path.parent)
        except OSError as error:
            raise StateError(f"{self.path} cannot be written: {error.strerror}") from None


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _state(values: Any) -> LogState:
    """Raises any of the errors that values of another kind lead to."""
    if values["version"] != _VERSION:
        raise ValueError
    return LogState(
        source=_checked(values["source"], str),
        positions=tuple(_position(one) for one in values["positions"]),
        timeouts={str(name): _counts(kinds) for name, kinds in values["timeouts"].items()},
        opened=_counts(values["opened"]),
        closed=_counts(values["closed"]),
        refused=_counts(values["refused"]),
        read=_number(values["read"]),
    )


def _position(values: Mapping[str, Any]) -> Position:
    position = Position(**values)
    _checked(position.key, str)
    _checked(position.digest, str)
    _checked(position.skipping, bool)
    if position.copy_of is not None:
        _checked(position.copy_of, str)
    for number in (position.length, position.offset, position.size, position.pending):
        if _checked(number, int) < 0:
            raise ValueError
    _number(position.modified)
    return position


def _counts(values: Mapping[str, Any]) -> dict[str, float]:
    return {name: _number(value) for name, value in values.items()}


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**63:
        raise ValueError
    return value


def _checked(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise TypeError
    return value
