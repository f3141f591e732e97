"""A wall clock of its own for a process, set while it runs, by libfaketime."""

from __future__ import annotations

from pathlib import Path

LIBFAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
"""Of Debian's package faketime; None where it isn't installed."""
_ONLY_WALL_CLOCK = {
    "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    "DONT_FAKE_MONOTONIC": "1",
    "FAKETIME_DISABLE_SHM": "1",
}


def offset_by(offset: str) -> dict[str, str]:
    """Environment of a process whose clock differs by `offset` (`-3600`, `+1d`)."""
    return {"LD_PRELOAD": str(LIBFAKETIME), "FAKETIME": offset, **_ONLY_WALL_CLOCK}


class WallClock:
    """The clock of the processes that have its `environment`; `path` is a file of its own.

    They read it at each look at the time, or, where `cached`, once a second: a program that looks
    often would do nothing else.
    """

    def __init__(self, path: Path, *, cached: bool = False) -> None:
        self._path = path
        self._reading = {"FAKETIME_CACHE_DURATION": "1"} if cached else {"FAKETIME_NO_CACHE": "1"}
        self.set("+0")
        path.chmod(0o644)  # servers run as another user

    @property
    def environment(self) -> dict[str, str]:
        """For the start of a process."""
        return {
            "LD_PRELOAD": str(LIBFAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(self._path),
            **self._reading,
            **_ONLY_WALL_CLOCK,
        }

    def set(self, offset: str) -> None:
        """From now on it differs by `offset` (`-3600`, `+1d`) from the machine's."""
        beside = self._path.with_suffix(".new")
        beside.write_text(f"{offset}\n")
        beside.chmod(0o644)
        beside.replace(self._path)  # never half written
