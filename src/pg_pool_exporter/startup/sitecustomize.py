"""Run by Python as it starts, in a program that `python -m pg_pool_exporter.client.auto` started.

It imports next to nothing: gevent, for example, must come before much of the standard library.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from typing import Any

_OFF = {"", "0", "false", "no", "off"}


def _instrument_all() -> None:
    try:
        from pg_pool_exporter.client.autoinstrument import instrument_made
    except ImportError:  # another Python, started by the application, which has no client
        return
    instrument_made(_instrument)


def _instrument(pool: Any) -> None:
    import logging

    try:
        from pg_pool_exporter.client.process import PROCESS
    except Exception:  # an upgrade may have replaced or removed the package by now
        logging.getLogger("pg_pool_exporter.client").exception("pool is not instrumented")
        return
    PROCESS.instrument(pool, refused=logging.DEBUG)


def _run_hidden() -> None:
    """Run the `sitecustomize` that Python would have found without this one."""
    here = os.path.realpath(os.path.dirname(__file__))  # noqa: PTH120 - pathlib takes longer
    path = [entry for entry in sys.path if os.path.realpath(entry) != here]
    spec = PathFinder.find_spec("sitecustomize", path)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(module_from_spec(spec))


if os.environ.get("PG_POOL_EXPORTER_INSTRUMENT_ALL", "").lower() not in _OFF:
    _instrument_all()
_run_hidden()
