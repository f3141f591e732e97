"""One incident: an application leaks until its pool is full, is fixed, and recovers."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pg_pool_exporter.commands.demo.postgres import wait_until
from support.postgres import Cluster
from support.programs import Prometheus, answers, exporter, free_port, running
from support.stand import watched

APP = "shop-leaky"
_LEAK_SECONDS = "4"
_NEVER = "100000"
_HEALTHY_SECONDS = 15.0
_DEADLINE = 120.0


@dataclass(frozen=True, slots=True)
class Incident:
    """What watches the application, and what fixes it."""

    page: str
    """The address of the exporter's page."""
    prometheus: Prometheus
    started: float
    """When it began, on the monotonic clock."""
    fix: Callable[[], None]
    """Replace the application's process by one that does not leak."""

    def wait_for(self, expression: str, what: str) -> None:
        """Wait until Prometheus has something for an expression."""
        wait_until(lambda: bool(self.prometheus.query(expression)), what, _DEADLINE)

    def alert(self, name: str) -> dict[str, Any]:
        """An alert about the application that fires, as Prometheus sends it."""
        found: dict[str, Any] = next(
            one
            for one in self.prometheus.get("alerts")["alerts"]
            if one["labels"]["alertname"] == name and one["labels"]["app"] == APP
        )
        return found


@contextmanager
def incident(directory: Path, cluster: Cluster) -> Iterator[Incident]:
    """A healthy application and one that leaks a connection every few seconds, both watched."""
    sockets = directory / "sockets"
    sockets.mkdir()
    address = f"127.0.0.1:{free_port()}"
    config = directory / "exporter.yaml"
    config.write_text(
        "processes: {interval: 1s}\n"
        f'servers: [{{name: main, dsn: "{cluster.dsn()}", interval: 1s}}]\n'
    )
    command = exporter(
        "run", f"--config.file={config}", f"--socket-dir={sockets}",
        f"--web.listen-address={address}",
    )  # fmt: skip

    def application(kind: str, seconds: str) -> Any:
        name = f"shop-{kind}"
        module = "pg_pool_exporter.commands.demo.shop"
        dsn = cluster.dsn(application_name=name)
        return running(
            [sys.executable, "-m", module, kind, dsn, seconds],
            log=directory / f"{name}.log",
            environment={"PG_POOL_EXPORTER_SOCKET_DIR": str(sockets)},
        )

    with ExitStack() as stack, ExitStack() as leaky:
        stack.enter_context(running(command, log=directory / "exporter.log"))
        wait_until(lambda: answers(f"http://{address}/-/ready"), "the exporter is ready", _DEADLINE)
        prometheus = stack.enter_context(watched(directory, [address]))
        stack.enter_context(application("healthy", _NEVER))
        leaky.enter_context(application("leaky", _NEVER))
        started = time.monotonic()
        time.sleep(_HEALTHY_SECONDS)
        leaky.close()
        leaky.enter_context(application("leaky", _LEAK_SECONDS))

        def fix() -> None:
            leaky.close()
            leaky.enter_context(application("leaky", _NEVER))

        yield Incident(f"http://{address}/?refresh=off", prometheus, started, fix)
