"""Instruments pools as they are made, of libraries that are imported now or at any time later.

The classes' constructors are extended when their module is imported. No library is imported for
it, nor is the client: in an application that is started with it, both come with the first pool.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

# What makes pools, by the module that defines it. Of SQLAlchemy it is the engine: a pool by itself
# doesn't know yet which database it is for.
_MAKERS = {
    "asyncpg.pool": "Pool",
    "psycopg2.pool": "AbstractConnectionPool",
    "psycopg_pool.pool": "ConnectionPool",
    "psycopg_pool.pool_async": "AsyncConnectionPool",
    "sqlalchemy.engine.base": "Engine",
}
_EXTENDED = "_pg_pool_exporter_extended"


def instrument_made(instrument: Callable[[Any], object]) -> None:
    """Call `instrument`, which must not raise, with each pool or engine that is made from now on.

    Doing it again changes nothing.
    """
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, _Finder(instrument))
    for name in _MAKERS:
        module = sys.modules.get(name)
        if module is not None:
            _extend(module, instrument)


class _Finder(MetaPathFinder):
    """Finds nothing itself: has the makers' modules extended when they have been loaded."""

    def __init__(self, instrument: Callable[[Any], object]) -> None:
        self._instrument = instrument

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _MAKERS:
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        found = (finder.find_spec(fullname, path, target) for finder in others)
        spec = next(filter(None, found), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self._instrument)
        return spec


class _Loader(Loader):
    """Loads a module as its own loader does, and then extends it."""

    def __init__(self, own: Loader, instrument: Callable[[Any], object]) -> None:
        self._own = own
        self._instrument = instrument

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._own.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # Its own again, for whoever asks it for the source.
        module.__loader__ = self._own
        if module.__spec__ is not None:
            module.__spec__.loader = self._own
        self._own.exec_module(module)
        _extend(module, self._instrument)


def _extend(module: ModuleType, instrument: Callable[[Any], object]) -> None:
    maker: Any = getattr(module, _MAKERS[module.__name__], None)
    if maker is None or hasattr(maker.__init__, _EXTENDED):
        return
    original_init = maker.__init__

    @functools.wraps(original_init)
    def init(self: Any, *args: Any, **options: Any) -> None:
        original_init(self, *args, **options)
        instrument(self)

    setattr(init, _EXTENDED, True)
    maker.__init__ = init
