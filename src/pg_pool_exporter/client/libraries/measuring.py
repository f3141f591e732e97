"""Subclasses that measure, exchanged for the classes of a library's objects.

A method put on the instance would make a reference cycle and keep a pool alive; an exchanged class
doesn't.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pg_pool_exporter.client.libraries.adapter import PoolAdapter

_ORIGINAL = "_pg_pool_exporter_original"


def measuring_subclass(cls: Any, methods: Mapping[str, Any]) -> Any:
    """A subclass of `cls` under the same name, with `methods` in place of its own.

    Raises `TypeError` for an application's own class whose methods take other arguments.
    """
    for name, method in methods.items():
        # Passing on any arguments would cost a tenth of all that measuring costs.
        if inspect.isfunction(method) and _parameters(method) != _parameters(getattr(cls, name)):
            library = next(base.__module__ for base in cls.__mro__ if name in vars(base))
            raise TypeError(f"{cls.__qualname__}.{name} takes other arguments than {library}'s")
    names = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__slots__": ()}
    return type(cls.__name__, (cls,), {**names, _ORIGINAL: cls, **methods})


def original(cls: Any) -> Any:
    """The class that a measuring one was made from; None for another class."""
    return cls.__dict__.get(_ORIGINAL)


def restore_class(measured: Any) -> None:
    """Restore an object's own class, unless other code has exchanged it since."""
    before = original(type(measured))
    if before is not None:
        measured.__class__ = before


def attach(pool: Any, adapter: PoolAdapter) -> None:
    """Set what the methods of the measuring class report to.

    It stays for good: a call that is under way would miss it.
    """
    pool._pg_pool_exporter_adapter = adapter
    pool._pg_pool_exporter_tracker = adapter.tracker  # one step less on the hot path


def _parameters(method: Callable[..., Any]) -> list[tuple[str, Any]]:
    parameters = inspect.signature(method).parameters.values()
    return [(parameter.name, parameter.default) for parameter in parameters]
