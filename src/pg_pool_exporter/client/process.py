"""This process as an instrumented one: its pools, its slot, its socket, and its forks.

Holds all process-wide state.
"""

from __future__ import annotations

import atexit
import logging
import os
import socket
import threading
from contextlib import suppress
from pathlib import Path

from pg_pool_exporter.client.faults import log
from pg_pool_exporter.client.options import default_app, pool_options
from pg_pool_exporter.client.registry import Registry
from pg_pool_exporter.client.serving.listeners import Listener, PortListener, SocketListener
from pg_pool_exporter.client.serving.siblings import sibling_pages
from pg_pool_exporter.client.serving.slots import Slot
from pg_pool_exporter.metrics.series import of_pools
from pg_pool_exporter.metrics.text_format import blocks, page
from pg_pool_exporter.model import PoolSample
from pg_pool_exporter.sockets import default_directory


class Process:
    """The instrumented pools of this process, and where its metrics are served."""

    def __init__(self) -> None:
        self.registry = Registry()
        self._ports: list[tuple[str, int]] = []
        self._start()

    def _start(self) -> None:
        # Re-entrant: a signal handler may interrupt us and instrument a pool.
        self._lock = threading.RLock()
        self._app: str | None = None  # that of the slot, from the first pool on
        self._slot: Slot | None = None
        self._socket: SocketListener | None = None
        self._port_listeners: list[Listener] = []

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

        A pool that can't be measured is logged at the level `refused`.
        """
        try:
            self.registry.add(pool, pool_options(app, name, server, leak_after))
            self.expose()
        except TypeError as error:
            log.log(refused, "pool is not instrumented: %s", error)
        except Exception:  # noqa: BLE001 - nothing may reach the application
            log.exception("pool is not instrumented")

    def expose(self) -> None:
        """Serve on the socket of a slot and on the ports, once. Logs what fails.

        Where the application has another name since, its slot and socket are taken again.
        """
        with self._lock:
            apps = self.registry.apps()
            if self._app is not None and (self._app in apps or not apps):
                return
            first = self._app is None
            self._app = apps[0] if apps else default_app()
            try:
                self._take_slot(Slot(default_directory(), self._app))
                if first:
                    for where in self._ports:
                        self._serve_port(*where)
            except Exception:  # noqa: BLE001 - in a child it runs inside the first checkout
                log.exception("the metrics of this process can't be served")

    def serve_port(self, address: str, port: int) -> None:
        """Serve the metrics of all processes of the application on a port.

        From the first instrumented pool on: before, the application is unknown, and a pre-forking
        server's parent without a pool would keep the port from its workers.
        """
        with self._lock:
            if (address, port) in self._ports:
                return
            self._ports.append((address, port))
            if self._app is not None:
                self._serve_port(address, port)

    def samples(self) -> list[PoolSample]:
        """One reading of each pool of this process."""
        return self.registry.samples(self._name())

    def own_page(self) -> str:
        """The metrics page of this process alone."""
        return page([blocks(of_pools(self.samples()))])

    def shared_page(self) -> str:
        """The metrics page of this process and its siblings, see `siblings`."""
        own = blocks(of_pools(self.samples()))
        slot = self._slot
        siblings: list[Path] = []
        if slot is not None:
            with suppress(OSError):
                siblings = slot.sibling_sockets()
        return page([own, *sibling_pages(siblings, apps=self.registry.apps(), own=own)])

    def close(self) -> None:
        """Stop serving and release the slot."""
        with self._lock:
            for listener in self._listeners():
                listener.close()
            self._port_listeners.clear()
            self._socket = None
            if self._slot is not None:
                self._slot.release()
                self._slot = None

    def forked(self) -> None:
        """Start over in a forked child: sockets, slot and locks are the parent's.

        The child serves its metrics from its first checkout on. Most children never use a pool,
        and serve none.
        """
        listeners, slot = self._listeners(), self._slot
        served = self._app is not None
        self._start()
        for listener in listeners:
            listener.abandon()
        if slot is not None:
            slot.release()
        # What is measured for a test is served by no process.
        self.registry.forked(self.expose if served else _stay_unseen)

    def _take_slot(self, slot: Slot) -> None:
        # Now, so that the first page has the name already; the listener logs failures.
        with suppress(OSError):
            slot.take()
        former_slot, self._slot = self._slot, slot
        former_socket, self._socket = (
            self._socket,
            SocketListener(self.own_page, slot, self.registry.report_events),
        )
        self._socket.start()
        if former_socket is not None:
            former_socket.close()
        if former_slot is not None:
            former_slot.release()

    def _serve_port(self, address: str, port: int) -> None:
        listener = PortListener(self.shared_page, address, port)
        self._port_listeners.append(listener)
        listener.start()

    def _listeners(self) -> list[Listener]:
        return [*([] if self._socket is None else [self._socket]), *self._port_listeners]

    def _name(self) -> str:
        number = None if self._slot is None else self._slot.number
        return f"{_host()}:{f'pid-{os.getpid()}' if number is None else number}"


def _stay_unseen() -> None:
    """Started by a child's first checkout where the parent served nothing."""


def _host() -> str:
    """The host's name, as other parts of its monitoring know it."""
    return socket.gethostname() or "localhost"


PROCESS = Process()
os.register_at_fork(after_in_child=PROCESS.forked)
atexit.register(PROCESS.close)
