"""The package that an application imports: it measures checkouts and shows the pools.

    from pg_pool_exporter.client import instrument

    instrument(pool, app="orders")

The standard library only. Nothing here raises into the application, blocks it, or keeps a
connection or a pool alive. Names are imported when they are first used: a program that is
instrumented as it starts must not import the client before its own first import (gevent's patches
come before `ssl`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pg_pool_exporter.client.api import instrument, instrument_all, long_lived, uninstrument
    from pg_pool_exporter.client.serving.applications import asgi_app, serve, wsgi_app
    from pg_pool_exporter.client.serving.collector import Collector

__all__ = [
    "Collector",
    "asgi_app",
    "instrument",
    "instrument_all",
    "long_lived",
    "serve",
    "uninstrument",
    "wsgi_app",
]

_MODULES = {
    "Collector": "serving.collector",
    "asgi_app": "serving.applications",
    "instrument": "api",
    "instrument_all": "api",
    "long_lived": "api",
    "serve": "serving.applications",
    "uninstrument": "api",
    "wsgi_app": "serving.applications",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
