"""A live stand: exporters that have something to show, and a Prometheus with our rules."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

import psycopg
import yaml

from support.pgbouncer import PASSWORD, Bouncer
from support.postgres import Cluster, wait_until
from support.programs import Prometheus, answers, exporter, free_port, running
from support.rule_files import FILES
from support.scaled_rules import write_scaled

FACTOR = 30
"""So much faster do rules see time pass: their 5 minutes are 10 s."""
ENVIRONMENT = {"cluster": "eu-1", "env": "test"}
"""What a user's Prometheus adds to all series."""
_DEADLINE = 90


@contextmanager
def demonstration(directory: Path, scenario: str) -> Iterator[str]:
    """The demonstration with this scenario; the address of its exporter."""
    address = f"127.0.0.1:{free_port()}"
    command = exporter("demo", f"--scenario={scenario}", f"--web.listen-address={address}")
    with running(command, log=directory / "demo.log"):
        wait_until(lambda: answers(f"http://{address}/metrics"), "the demo serves", _DEADLINE)
        yield address


@contextmanager
def edges(directory: Path, cluster: Cluster) -> Iterator[str]:
    """An exporter of what the demonstration hasn't: a PgBouncer, limits, a process that is down.

    Gives its address.
    """
    address = f"127.0.0.1:{free_port()}"
    config = directory / "edges.yaml"
    cluster.run(f"CREATE ROLE app LOGIN CONNECTION LIMIT 20 PASSWORD '{PASSWORD}'")
    cluster.run("ALTER DATABASE postgres CONNECTION LIMIT 50")
    cluster.run("ALTER ROLE app SET statement_timeout = '30s'")
    cluster.run("ALTER SYSTEM SET idle_in_transaction_session_timeout = '60s'")
    cluster.run("SELECT pg_reload_conf()")
    settings = {"default_pool_size": 1, "query_wait_timeout": 0}
    with (
        socket.socket() as unserved,
        Bouncer(cluster, {"shop": "dbname=postgres"}, settings) as bouncer,
    ):
        # Bound, so that nobody else serves there, and refusing all.
        unserved.bind(("127.0.0.1", 0))
        port = unserved.getsockname()[1]
        config.write_text(
            yaml.safe_dump(
                {
                    "servers": [{"name": "edge", "dsn": cluster.dsn(), "interval": "1s"}],
                    "pgbouncers": [{"name": "edge", "dsn": bouncer.dsn(), "interval": "1s"}],
                    "apps": [{
                        "name": "gone", "targets": [f"http://127.0.0.1:{port}"],
                        "interval": "1s",
                    }],
                }
            )
        )  # fmt: skip
        command = exporter(
            "run", f"--config.file={config}", "--socket-dir=", f"--web.listen-address={address}"
        )
        with bouncer.connect("shop"), running(command, log=directory / "edges.log"):
            # Ends when the bouncer does.
            Thread(target=_wait_for_a_connection, args=(bouncer,), daemon=True).start()
            wait_until(lambda: answers(f"http://{address}/-/ready"), "the edges serve", _DEADLINE)
            yield address


def _wait_for_a_connection(bouncer: Bouncer) -> None:
    with suppress(psycopg.OperationalError), psycopg.connect(bouncer.dsn("shop", "app")) as client:
        client.execute("SELECT 1")


@contextmanager
def watched(directory: Path, addresses: Sequence[str]) -> Iterator[Prometheus]:
    """A Prometheus that scrapes `addresses`, with our rules `FACTOR` times faster."""
    rules = write_scaled(FILES, directory, FACTOR)
    with Prometheus(directory, *addresses, rules=rules, labels=ENVIRONMENT) as prometheus:
        yield prometheus
