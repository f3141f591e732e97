"""The package that an application's tests import to see whether it returns its connections.

    from pg_pool_exporter.testing import assert_no_leaks

    with assert_no_leaks(pool):
        place_order()

The standard library only; the pytest plugin beside it needs pytest. Names are imported when they
are first used, so that an unused plugin costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pg_pool_exporter.testing.leaks import LeakError, assert_no_leaks
    from pg_pool_exporter.testing.locks import table_locked
    from pg_pool_exporter.testing.saturation import saturated
    from pg_pool_exporter.testing.server import BreakableServer
    from pg_pool_exporter.testing.slowness import slow

__all__ = [
    "BreakableServer",
    "LeakError",
    "assert_no_leaks",
    "saturated",
    "slow",
    "table_locked",
]

_MODULES = {
    "BreakableServer": "server",
    "LeakError": "leaks",
    "assert_no_leaks": "leaks",
    "saturated": "saturation",
    "slow": "slowness",
    "table_locked": "locks",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
