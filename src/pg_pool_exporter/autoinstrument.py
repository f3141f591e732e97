"""Instruments pools as they are made, of libraries that are imported now or at any time later.

Their classes are extended when their module is imported. No library is imported for it, nor is the
client: in an application that is started with it, both come with the first pool.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_Instrument = Callable[[Any], object]


def instrument_made(instrument: _Instrument) -> None:
    """Call `instrument`, which must not raise, with each pool that is made from now on.

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

    def __init__(self, instrument: _Instrument) -> None:
        self._instrument = instrument

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _MAKERS:
            return None
        # Python passes over those that don't have the method.
        others = (finder for finder in sys.meta_path if finder is not self)
        methods = filter(None, (getattr(finder, "find_spec", None) for finder in others))
        found = (find_spec(fullname, path, target) for find_spec in methods)
        spec = next(filter(None, found), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self._instrument)
        return spec


class _Loader(Loader):
    """Loads a module as its own loader does, and then extends it."""

    def __init__(self, own: Loader, instrument: _Instrument) -> None:
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


def _extend(module: ModuleType, instrument: _Instrument) -> None:
    name, extend = _MAKERS[module.__name__]
    cls = getattr(module, name, None)
    if cls is not None:
        extend(cls, instrument)


def _extend_constructor(cls: Any, instrument: _Instrument) -> None:
    original_init = cls.__init__

    @functools.wraps(original_init)
    def init(self: Any, *args: Any, **options: Any) -> None:
        original_init(self, *args, **options)
        instrument(self)

    cls.__init__ = init


def _extend_engine(cls: Any, instrument: _Instrument) -> None:
    """SQLAlchemy asks the code of the constructors what arguments they take.

    So not that, but what happens in it: the engine gets its pool. Before, the pool didn't know
    which database it is for.
    """
    cls.pool = _PoolOfEngine(instrument)


class _PoolOfEngine:
    """An attribute that tells when it is set. It is read from the instance as ever."""

    def __init__(self, instrument: _Instrument) -> None:
        self._instrument = instrument

    def __set__(self, engine: Any, pool: Any) -> None:
        vars(engine)["pool"] = pool
        self._instrument(pool)


# What makes pools, by the module that defines it, and how it is extended.
_MAKERS: dict[str, tuple[str, Callable[[Any, _Instrument], None]]] = {
    "asyncpg.pool": ("Pool", _extend_constructor),
    "psycopg2.pool": ("AbstractConnectionPool", _extend_constructor),
    "psycopg_pool.pool": ("ConnectionPool", _extend_constructor),
    "psycopg_pool.pool_async": ("AsyncConnectionPool", _extend_constructor),
    "sqlalchemy.engine.base": ("Engine", _extend_engine),
}
