"""The directory in which instrumented processes put their sockets."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

import structlog

from pg_pool_exporter.sockets import SUFFIX
from pg_pool_exporter.sources.socket_file import SocketFile

log = structlog.get_logger(__name__)

MAX_SOCKETS = 1000
# Looking costs time for each entry, whatever it is.
MAX_ENTRIES = 10 * MAX_SOCKETS


class SocketDirectory:
    """The directory in which instrumented processes put their sockets."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._told: str | None = None

    def scan(self) -> list[SocketFile]:
        """The sockets that are there now, sorted by name, at most `MAX_SOCKETS`.

        A directory that is not there yet has none: the first process makes it. What else keeps
        it from being read, or from being read whole, is told in the log, once.
        """
        try:
            with os.scandir(self._path) as entries:
                names = [entry.name for entry in islice(entries, MAX_ENTRIES + 1)]
        except FileNotFoundError:
            return []
        except OSError as error:
            self._tell(f"can't be read: {error.strerror}")
            return []
        paths = [self._path / name for name in sorted(names[:MAX_ENTRIES]) if _is_name(name)]
        found = [socket for path in paths if (socket := SocketFile.at(path)) is not None]
        if len(names) > MAX_ENTRIES:
            self._tell(f"has more than {MAX_ENTRIES} entries; those beyond are not looked at")
        elif len(found) > MAX_SOCKETS:
            self._tell(f"has more than {MAX_SOCKETS} sockets; those beyond are not read")
        else:
            self._tell(None)
        return found[:MAX_SOCKETS]

    def _tell(self, problem: str | None) -> None:
        if problem != self._told:
            self._told = problem
            if problem is None:
                log.info("socket directory is read whole again", directory=str(self._path))
            else:
                log.warning("socket directory", directory=str(self._path), error=problem)


def _is_name(name: str) -> bool:
    # Hidden ones are not meant to be found; control characters have no place in labels and logs.
    return name.endswith(SUFFIX) and not name.startswith(".") and name.isprintable()
