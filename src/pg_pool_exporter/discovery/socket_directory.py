"""The sockets of instrumented processes in a directory of this host."""

from __future__ import annotations

import os
import socket
import stat
import time
from collections import Counter
from collections.abc import Collection
from functools import partial
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import structlog

from pg_pool_exporter.blocking.threads import Lane, LaneFullError
from pg_pool_exporter.sockets import SUFFIX, check_directory
from pg_pool_exporter.sources.pages.socket_file import SocketFile

log = structlog.get_logger(__name__)

MAX_SOCKETS = 1000
MAX_ENTRIES = 10 * MAX_SOCKETS
"""Each entry costs time, whatever it is."""
LOOK_SECONDS = 2.0
"""Deadline of one look."""

# A process binds its socket before it listens: until then the socket refuses connections.
_BINDING_SECONDS = 2.0
_LANE = Lane("socket-directory", threads=4)


class _Found(NamedTuple):
    """The result of one look."""

    sockets: tuple[SocketFile, ...] = ()
    dead: frozenset[SocketFile] = frozenset()
    """Dead sockets that cannot be removed."""
    removed: int = 0
    problem: str | None = None
    access: str = ""
    """The users who may write into the directory."""


class SocketDirectory:
    """Follows the sockets in `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found = _Found()
        self._logged: str | None = None

    @property
    def sockets(self) -> tuple[SocketFile, ...]:
        """The sockets found by the last look, sorted by name, at most `MAX_SOCKETS`."""
        return self._found.sockets

    @property
    def place(self) -> str:
        """The directory, who may write into it, and who looks into it. Users are numbers: their
        names can be in another container, or on a server that does not answer.
        """
        access = f" ({self._found.access})" if self._found.access else ""
        return f"{self._path}{access}, as user {os.geteuid()}"

    @property
    def problem(self) -> str | None:
        """The fault of the directory, or its skipped entries; None without a problem."""
        return self._logged

    async def look(self) -> None:
        """Look for sockets once.

        A socket that is new is tried: a dead one is removed, or skipped where that is not
        allowed. Problems are logged when they begin and when they end. A missing directory is
        none: the first process makes it. The directory must be safe, see `check_directory`.
        """
        try:
            found = await _LANE.run(
                partial(_look, self._path, self._found), key=self._path, seconds=LOOK_SECONDS
            )
        except LaneFullError as error:
            self._report(f"cannot be read: {error}")
            return
        except TimeoutError:
            self._report(f"cannot be read within {LOOK_SECONDS:g} s: is its file system hung?")
            return
        self._found = found
        if found.removed:
            log.info("dead sockets removed", directory=str(self._path), count=found.removed)
        self._report(found.problem)

    def _report(self, problem: str | None) -> None:
        if problem == self._logged:
            return
        self._logged = problem
        directory = str(self._path)
        if problem is None:
            log.info("socket directory recovered", directory=directory)
        else:
            log.warning("socket directory not read, or in part", directory=directory, error=problem)


def _look(path: Path, former: _Found) -> _Found:
    access = ""
    try:
        access = _access(path)
        check_directory(path)
        unwritable = _unwritable(path)
        with os.scandir(path) as entries:
            names = [entry.name for entry in islice(entries, MAX_ENTRIES + 1)]
    except FileNotFoundError:
        # A missing directory does not solve the problem.
        return _Found(problem=former.problem, access="it does not exist yet")
    except OSError as error:
        # A refusal of `check_directory` has no number.
        return _Found(problem=str(error.strerror or error), access=access)
    sockets: list[SocketFile] = []
    dead: set[SocketFile] = set()
    removed = 0
    # Those that are polled first: another user's files must not hide them.
    known = [found.path.name for found in former.sockets]
    for found in _sockets(path, dict.fromkeys((*known, *names[:MAX_ENTRIES]))):
        if found in former.dead:
            dead.add(found)
        elif found in former.sockets or _is_live(found):
            sockets.append(found)
        elif time.time() - found.made / 1e9 > _BINDING_SECONDS:
            if _remove(found):
                removed += 1
            else:
                dead.add(found)
    problem = None
    if unwritable is not None:
        problem = unwritable
    elif len(names) > MAX_ENTRIES:
        problem = f"has more than {MAX_ENTRIES} entries: the others are not looked at"
    elif len(sockets) > MAX_SOCKETS:
        problem = f"has more than {MAX_SOCKETS} sockets: the others are not polled"
    elif dead:
        problem = "has dead sockets that this user may not remove"
    return _Found(_first(sockets, former.sockets), frozenset(dead), removed, problem, access)


def _access(directory: Path) -> str:
    found = directory.lstat()
    return f"user {found.st_uid}, group {found.st_gid}, mode {stat.S_IMODE(found.st_mode):o}"


def _unwritable(directory: Path) -> str | None:
    """Why no process but this user's can put a socket there; None where others may be able to.

    A directory of this user's own is for this user's processes alone.
    """
    if os.statvfs(directory).f_flag & os.ST_RDONLY:
        return "is on a read-only file system: no process can put a socket there"
    found = directory.stat()
    if found.st_uid != os.geteuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return (
            f"can be written by nobody but user {found.st_uid}: make it writable for the group of "
            "the applications (chmod 3770)"
        )
    return None


def _sockets(directory: Path, names: Collection[str]) -> list[SocketFile]:
    paths = [directory / name for name in names if _is_name(name)]
    return [found for path in paths if (found := SocketFile.at(path)) is not None]


def _first(
    sockets: Collection[SocketFile], former: Collection[SocketFile]
) -> tuple[SocketFile, ...]:
    """At most `MAX_SOCKETS`, of each user about as many; sorted by name.

    Of one user those that are polled already come first, then the newest.
    """
    known = {*former}
    order = sorted(sockets, key=lambda found: (found not in known, -found.made, found.path))
    of_user: Counter[int] = Counter()
    turns = []
    for found in order:
        of_user[found.user] += 1
        turns.append((of_user[found.user], found))
    turns.sort(key=itemgetter(0))
    return (*sorted(found for _, found in turns[:MAX_SOCKETS]),)


def _is_name(name: str) -> bool:
    # Hidden ones are not meant to be found; control characters have no place in labels and logs.
    return name.endswith(SUFFIX) and not name.startswith(".") and name.isprintable()


def _is_live(found: SocketFile) -> bool:
    """Whether a process listens; unknown counts as yes."""
    with socket.socket(socket.AF_UNIX) as own:
        own.setblocking(False)
        try:
            own.connect(str(found.path))
        except ConnectionRefusedError:
            return False
        except OSError:
            pass  # no right, a full queue, a path that is too long: polling it reports that
    return True


def _remove(found: SocketFile) -> bool:
    try:
        found.remove()
    except OSError:
        return False
    return True
