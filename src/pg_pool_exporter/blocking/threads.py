"""Work that may hang, such as reading from a file system that does, and must hold up nothing."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


def in_thread(work: Callable[[], T]) -> Future[T]:
    """The outcome of `work` in a thread of its own. It can't be cancelled.

    Nobody waits for that thread when the program ends, other than for those of an executor.
    """
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - whoever waits gets it
            future.set_exception(error)

    Thread(target=run, name="look-up", daemon=True).start()
    return future
