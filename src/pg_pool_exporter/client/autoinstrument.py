"""Instruments pools as they are made, of libraries that are imported now or at any time later.

Their classes are extended when their module is imported. No library is imported for it, nor the
rest of the client: in a program that is instrumented as it starts, both come with the first pool.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Hashable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from pg_pool_exporter.client.libraries import LIBRARIES

_Instrument = Callable[[Any], object]
_MAKERS = {module: maker for one in LIBRARIES.values() for module, maker in one.makers.items()}


def instrument_made(instrument: _Instrument, *, by: Hashable = "application") -> None:
    """Call `instrument`, which must not raise, with each pool that is made from now on.

    Calling it again replaces the function of the same `by`. They are called in their order.
    """
    finder = _installed()
    if finder is not None:
        finder.functions[by] = instrument
        return
    finder = _Finder({by: instrument})
    sys.meta_path.insert(0, finder)
    for name in _MAKERS:
        module = sys.modules.get(name)
        if module is not None:
            finder.extend(module)


def leave_made(*, by: Hashable) -> None:
    """Call the function of `by` no more."""
    finder = _installed()
    if finder is not None:
        finder.functions.pop(by, None)


def _installed() -> _Finder | None:
    return next((finder for finder in sys.meta_path if isinstance(finder, _Finder)), None)


class _Finder(MetaPathFinder):
    """Finds no module itself: extends those that make pools when they have been loaded."""

    def __init__(self, functions: dict[Hashable, _Instrument]) -> None:
        self.functions = functions

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _MAKERS:
            return None
        # Python skips finders without the method.
        others = (finder for finder in sys.meta_path if finder is not self)
        methods = filter(None, (getattr(finder, "find_spec", None) for finder in others))
        found = (find_spec(fullname, path, target) for find_spec in methods)
        spec = next(filter(None, found), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self.extend)
        return spec

    def extend(self, module: ModuleType) -> None:
        """Extend the class in a module that makes pools, where this version has it. Never raises.

        It runs inside the application's import of the module.
        """
        name, _, attribute = _MAKERS[module.__name__].partition(".")
        cls = getattr(module, name, None)
        try:
            if cls is None:
                return
            if attribute:
                setattr(cls, attribute, _PoolAttribute(attribute, self._made))
            else:
                _extend_constructor(cls, self._made)
        except Exception:  # nothing may reach the application
            import logging  # not before it is needed: see `startup`

            logging.getLogger("pg_pool_exporter.client").exception("%s is not extended", name)

    def _made(self, pool: Any) -> None:
        # The functions of this moment: they can be replaced.
        for instrument in list(self.functions.values()):
            instrument(pool)


class _Loader(Loader):
    """Loads a module as its own loader does, and then extends it."""

    def __init__(self, own: Loader, extend: Callable[[ModuleType], None]) -> None:
        self._own = own
        self._extend = extend

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._own.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # Restored for code that reads the module's source through it.
        module.__loader__ = self._own
        if module.__spec__ is not None:
            module.__spec__.loader = self._own
        self._own.exec_module(module)
        self._extend(module)


def _extend_constructor(cls: Any, instrument: _Instrument) -> None:
    original_init = cls.__init__

    @functools.wraps(original_init)
    def init(self: Any, *args: Any, **options: Any) -> None:
        original_init(self, *args, **options)
        instrument(self)

    cls.__init__ = init


class _PoolAttribute:
    """An attribute that reports when it is set. It is read from the instance as before."""

    def __init__(self, name: str, instrument: _Instrument) -> None:
        self._name = name
        self._instrument = instrument

    def __set__(self, owner: Any, pool: Any) -> None:
        vars(owner)[self._name] = pool
        self._instrument(pool)
