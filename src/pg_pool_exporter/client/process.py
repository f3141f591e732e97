"""This process as an instrumented one: its pools, its slot, its socket, and what a fork does to it.

Everything that is process-wide stands here, and nowhere else.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from contextlib import suppress
from pathlib import Path

from pg_pool_exporter import durations
from pg_pool_exporter.client.libraries.listeners import Listener, PortListener, SocketListener
from pg_pool_exporter.client.registry import Registry, default_app, host, log
from pg_pool_exporter.client.serving.siblings import sibling_pages
from pg_pool_exporter.client.serving.slots import Slot
from pg_pool_exporter.metrics.series import of_pools
from pg_pool_exporter.metrics.text_format import blocks, page
from pg_pool_exporter.model import PoolSample
from pg_pool_exporter.sockets import default_directory

_LEAK_AFTER_SECONDS = 60.0


class Process:
    """The instrumented pools of this process and where their page is served."""

    def __init__(self) -> None:
        self.registry = Registry()
        self._ports: list[tuple[str, int]] = []
        self._start()

    def _start(self) -> None:
        # Re-entrant: a signal handler may interrupt us and instrument a pool.
        self._lock = threading.RLock()
        self._exposed = False
        self._slot: Slot | None = None
        self._listeners: list[Listener] = []

    def instrument(
        self,
        pool: object,
        *,
        app: str | None = None,
        name: str | None = None,
        server: str | None = None,
        leak_after: float | str | None = None,
        refused: int = logging.ERROR,
    ) -> None:
        """Measure a pool, see `client.instrument`. Raises nothing.

        What can't be measured is told to the log at the level `refused`.
        """
        try:
            self.registry.add(
                pool,
                app=app or default_app(),
                name=name or "",
                server=server or os.environ.get("PG_POOL_EXPORTER_SERVER", ""),
                leak_after=_leak_after(leak_after),
            )
            self.expose()
        except TypeError as error:
            log.log(refused, "pool is not instrumented: %s", error)
        except Exception:  # noqa: BLE001 - nothing may reach the application
            log.exception("pool is not instrumented")

    def expose(self) -> None:
        """Serve on the socket of a slot and on the ports, once; what fails is logged and left."""
        with self._lock:
            if self._exposed:
                return
            self._exposed = True
            try:
                self._slot = Slot(default_directory(), self.registry.app() or default_app())
                # Now, so that the first page has the name already; the listener tells what fails.
                with suppress(OSError):
                    self._slot.take()
                self._serve(SocketListener(self.own_page, self._slot))
                for where in self._ports:
                    self._serve(PortListener(self.shared_page, *where))
            except Exception:  # noqa: BLE001 - in a child it runs inside the first checkout
                log.exception("the page of this process can't be served")

    def serve_port(self, address: str, port: int) -> None:
        """Serve the page of all processes of the application on a port.

        From the first instrumented pool on: before, nobody knows which application this is, and a
        pre-forking server's parent without a pool would keep the port from its workers.
        """
        with self._lock:
            if (address, port) in self._ports:
                return
            self._ports.append((address, port))
            if self._exposed:
                self._serve(PortListener(self.shared_page, address, port))

    def samples(self) -> list[PoolSample]:
        """One reading of each pool of this process."""
        return self.registry.samples(self._name())

    def own_page(self) -> str:
        """The page of this process alone."""
        return page([blocks(of_pools(self.samples()))])

    def shared_page(self) -> str:
        """The page of this process and its siblings, see `siblings`."""
        own = blocks(of_pools(self.samples()))
        slot = self._slot
        siblings: list[Path] = []
        if slot is not None:
            with suppress(OSError):
                siblings = slot.sibling_sockets()
        return page([own, *sibling_pages(siblings)])

    def close(self) -> None:
        """Stop serving and give the slot back."""
        with self._lock:
            for listener in self._listeners:
                listener.close()
            self._listeners.clear()
            if self._slot is not None:
                self._slot.release()
                self._slot = None

    def forked(self) -> None:
        """In a child: nothing of the parent's is ours, and nobody else runs our locks.

        The child shows itself with its first checkout. One that never uses a pool, and most
        children don't, stays unseen.
        """
        listeners, slot = self._listeners, self._slot
        self._start()
        for listener in listeners:
            listener.abandon()
        if slot is not None:
            slot.release()
        self.registry.forked(self.expose)

    def _serve(self, listener: Listener) -> None:
        self._listeners.append(listener)
        listener.start()

    def _name(self) -> str:
        number = None if self._slot is None else self._slot.number
        return f"{host()}:{f'pid-{os.getpid()}' if number is None else number}"


def _leak_after(given: float | str | None) -> float:
    if given is None:
        given = os.environ.get("PG_POOL_EXPORTER_LEAK_AFTER") or _LEAK_AFTER_SECONDS
    try:
        seconds = durations.seconds(given) if isinstance(given, str) else float(given)
        if seconds > 0:
            return seconds
        problem = "it must be more than 0"
    except (TypeError, ValueError) as error:
        problem = str(error)
    # A slip in a threshold must not cost all that is measured.
    log.warning("leak_after is taken as %g s: %s", _LEAK_AFTER_SECONDS, problem)
    return _LEAK_AFTER_SECONDS


PROCESS = Process()
os.register_at_fork(after_in_child=PROCESS.forked)
atexit.register(PROCESS.close)
