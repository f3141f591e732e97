"""The line of application code that checks a connection out.

Walking the stack is on the hot path, so it only picks a code object and an offset in it; the reader
makes the line number and the text of it.
"""

from __future__ import annotations

import sys
import sysconfig
from functools import lru_cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

from pg_pool_exporter.client.faults import absorb

# How near a file is to the application's own code. A site is the innermost frame of the highest
# rank on the stack, so an application that is installed as a package is still named.
_APPLICATION: Final = 2
_LIBRARY: Final = 1
_PLUMBING: Final = 0

_CLIENT = f"{Path(__file__).parent}/"
_PLUMBING_PACKAGES = (
    "asyncpg", "django", "flask_sqlalchemy", "gevent", "psycopg", "psycopg2", "psycopg_pool",
    "sqlalchemy",
)  # fmt: skip
# Most frames to search between the pool and the application's code.
_MAX_FRAMES = 80
_MAX_FILES = 10_000
# Of a longer description the end is kept: it has the file's name, the line and the function.
_MAX_CHARACTERS = 200

# A code object and the offset of an instruction in it. A plain tuple: a named one takes longer to
# make than the stack takes to walk.
Site = tuple[CodeType, int]

_ranks: dict[str, int] = {}
_NOWHERE: Site = ((lambda: None).__code__, 0)


def calling_site() -> Site:
    """The innermost frame of application code that leads to the caller's caller. Never raises."""
    try:
        frame = sys._getframe(2)
        library: Site | None = None
        greenlet: Any = None
        ranks = _ranks
        for _ in range(_MAX_FRAMES):
            code = frame.f_code
            try:
                rank = ranks[code.co_filename]
            except KeyError:
                rank = _remember_rank(code.co_filename)
            if rank:
                site = code, frame.f_lasti
                if rank == _APPLICATION:
                    return site
                library = library or site
            outer = frame.f_back
            if outer is None:
                greenlet, outer = _outside(greenlet)
                if outer is None:
                    break
            frame = outer
    except Exception as error:  # noqa: BLE001 - measuring never costs the application anything
        absorb(error, "looking for the line that checks a connection out")
        return _NOWHERE
    return library or _NOWHERE


def _outside(greenlet: Any) -> tuple[Any, FrameType | None]:
    """The parent of the innermost greenlet (or of `greenlet`), and the frame in which it waits.

    SQLAlchemy's asynchronous connections are made in a greenlet: a stack of its own.
    """
    module: Any = sys.modules.get("greenlet")
    if module is None:
        return None, None
    parent = (greenlet or module.getcurrent()).parent
    return parent, None if parent is None else parent.gr_frame


def _remember_rank(filename: str) -> int:
    rank = _rank(filename)
    # Generated code may have a new file name each time.
    if len(_ranks) < _MAX_FILES:
        _ranks[filename] = rank
    return rank


def _rank(filename: str) -> int:
    if filename.startswith("<sqlalchemy generated"):
        return _PLUMBING
    if filename.startswith((_CLIENT, "<frozen", *_standard_library())):
        # site-packages lies inside the standard library's directory.
        package = _package(filename)
        if package is None:
            return _PLUMBING
    else:
        package = _package(filename)
        if package is None:
            # A console script (gunicorn's, celery's) is on every stack of an application that it
            # runs, and would hide one that is itself installed.
            return _LIBRARY if filename.startswith(_script_directories()) else _APPLICATION
    return _PLUMBING if package in _PLUMBING_PACKAGES else _LIBRARY


def _package(filename: str) -> str | None:
    """The top-level package of an installed file, else None."""
    for marker in ("/site-packages/", "/dist-packages/"):
        _, found, rest = filename.rpartition(marker)
        if found:
            return rest.partition("/")[0]
    return None


@lru_cache(maxsize=1)
def _standard_library() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    return tuple({f"{paths[name]}/" for name in ("stdlib", "platstdlib")})


@lru_cache(maxsize=1)
def _script_directories() -> tuple[str, ...]:
    schemes = sysconfig.get_scheme_names()
    found = {sysconfig.get_path("scripts", scheme) for scheme in schemes}
    return tuple(f"{path}/" for path in {*found, str(Path(sys.executable).parent)})


def describe(site: Site) -> str:
    """`file:line function` of a site, the file relative to where Python found it. Never raises."""
    if site is _NOWHERE:
        return "unknown"
    try:
        # Code objects are equal whatever file they are from.
        return _describe(site[0].co_filename, *site)
    except Exception as error:  # noqa: BLE001 - measuring never costs the application anything
        absorb(error, "naming a line of code")
        return "unknown"


@lru_cache(maxsize=512)
def _describe(filename: str, code: CodeType, offset: int) -> str:
    line: int | None = code.co_firstlineno
    for start, end, number in code.co_lines():
        if start <= offset < end and number is not None:
            line = number
            break
    return f"{_relative(filename)}:{line} {code.co_qualname}"[-_MAX_CHARACTERS:]


def _relative(filename: str) -> str:
    path = Path(filename)
    # Programs put bytes and other things on Python's path, which the import system ignores.
    roots = [root for root in (*sys.path, _working_directory()) if isinstance(root, str) and root]
    relative = [path.relative_to(root) for root in roots if path.is_relative_to(root)]
    # The longest root leaves the shortest name: the one that the application imports it by.
    return str(min(relative, key=lambda name: len(name.parts), default=path))


def _working_directory() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # it has been deleted
        return ""
