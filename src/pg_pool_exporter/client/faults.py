"""Faults of the client itself, kept from the application."""

from __future__ import annotations

import logging
import signal
import traceback
from contextlib import suppress
from pathlib import Path
from types import CodeType

log = logging.getLogger("pg_pool_exporter.client")

_CLIENT = f"{Path(__file__).parent}/"

_logged: set[str] = set()
_MAX_LOGGED = 100


def absorb(error: Exception, doing: str) -> None:
    """Log a fault in measuring, once for each `doing`.

    Raises `error` again where it is the application's own: a signal handler raised it, or another
    thread threw it in, while our code ran.
    """
    if not _is_ours(error):
        raise error
    if doing in _logged or len(_logged) >= _MAX_LOGGED:
        return
    _logged.add(doing)
    with suppress(Exception):  # a log handler of the application can fail, too
        # As text: a record with the error itself keeps its frames, and a connection in them.
        trace = "".join(traceback.format_exception(error))
        log.error("fault in measuring, logged once: %s\n%s", doing, trace)


def _is_ours(error: Exception) -> bool:
    # Only called after a failure: it may be slow.
    handlers = {id(_code(signal.getsignal(number))) for number in signal.valid_signals()}
    trace, filename = error.__traceback__, ""
    while trace is not None:
        code = trace.tb_frame.f_code
        if id(code) in handlers:
            return False
        filename = code.co_filename
        trace = trace.tb_next
    # Our own lines raise exceptions of Python's own kinds only.
    return not filename.startswith(_CLIENT) or type(error).__module__ == "builtins"


def _code(handler: object) -> CodeType | None:
    handler = getattr(handler, "func", handler)  # functools.partial
    handler = getattr(handler, "__func__", handler)  # a method
    if not hasattr(handler, "__code__"):
        handler = vars(type(handler)).get("__call__")  # an object that is called
    return getattr(handler, "__code__", None)
