"""Reads the service, environment, passwords and certificates that libpq would read itself.

libpq reads on the event loop. So all of its files are opened before, in a thread: a named pipe or a
hung mount in place of one costs this connection only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from psycopg.pq import Conninfo

from pg_pool_exporter.blocking.files import (
    SECONDS,
    FileError,
    MissingFileError,
    check_openable,
    content,
)
from pg_pool_exporter.blocking.secrets import PasswordError
from pg_pool_exporter.blocking.threads import Lane, LaneFullError

Params = dict[str, Any]

_LANE = Lane("libpq-files", threads=32)
_MOST_BYTES = 65_536
_FILES = {
    "passfile": ".pgpass",
    "sslcert": ".postgresql/postgresql.crt",
    "sslkey": ".postgresql/postgresql.key",
    "sslrootcert": ".postgresql/root.crt",
    "sslcrl": ".postgresql/root.crl",
}
"""Parameters that name a file, and the file in the user's home without them."""


class Inputs(NamedTuple):
    """The parameters of a connection."""

    params: Params
    """Those given, and those of their service in place of its name; its name, where only libpq may
    find it."""
    defaults: Mapping[str, str]
    """libpq's value for each parameter that is not given; environment variables included."""


async def read_inputs(params: Params) -> Inputs:
    """Read everything that libpq will need. Raises `PasswordError`, naming the file that can't be
    used."""
    key = tuple(sorted((name, str(value)) for name, value in params.items()))
    try:
        return await _LANE.run(partial(_read, params), key=key, seconds=SECONDS)
    except LaneFullError as error:
        raise PasswordError(f"the files of libpq cannot be read: {error}") from None
    except TimeoutError:
        raise PasswordError(
            f"a file that libpq reads (service, password or certificates) cannot be read within "
            f"{SECONDS:g} s: is its file system hung?"
        ) from None


def _read(params: Params) -> Inputs:
    params = _with_service(params)
    # It reads the service of the environment, too: that was opened before.
    defaults = {
        option.keyword.decode(): option.val.decode()
        for option in Conninfo.get_defaults()
        if option.val
    }
    known = {**defaults, **params}
    for name, default in _FILES.items():
        path = known.get(name) or _in_home(default)
        if path is not None:
            _check(name, path)
    return Inputs(params, defaults)


def _in_home(path: str) -> Path | None:
    try:
        return Path("~", path).expanduser()
    except RuntimeError:  # this user has none
        return None


def _check(name: str, path: str | Path) -> None:
    try:
        check_openable(path)
    except FileError as error:
        raise PasswordError(f"{name} {path}: {error}") from None


def _with_service(params: Params) -> Params:
    """With the parameters of the service; those that are given win.

    libpq would resolve the name of the service's host on the event loop. The name of a service that
    is not found here is left to libpq, which says so or finds it in its own directory.
    """
    name = params.get("service") or os.environ.get("PGSERVICE")
    for file in _service_files() if name else ():
        try:
            text = content(file, _MOST_BYTES).decode(errors="replace")
        except MissingFileError:
            continue
        except FileError as error:
            raise PasswordError(f"service file {file}: {error}") from None
        service = _section(text, str(name))
        if service is not None:
            given = {key: value for key, value in params.items() if key != "service"}
            return {**service, **given}
    return {**params, "service": name} if name else params


def _service_files() -> Iterator[str | Path]:
    """In the order in which libpq looks into them, without the one of its own installation."""
    file = os.environ.get("PGSERVICEFILE") or _in_home(".pg_service.conf")
    if file is not None:
        yield file
    if directory := os.environ.get("PGSYSCONFDIR"):
        yield Path(directory, "pg_service.conf")


def _section(text: str, wanted: str) -> Params | None:
    """Parameters of a section, read as libpq does (`parseServiceFile` of its fe-connect.c); None
    without it, or where libpq alone can read it (LDAP)."""
    found: Params | None = None
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            if found is not None:
                break
            found = {} if line.startswith(f"[{wanted}]") else None
        elif found is not None and line and not line.startswith("#"):
            name, equals, value = line.partition("=")
            if not equals:
                return None
            found.setdefault(name, value)
    return found
