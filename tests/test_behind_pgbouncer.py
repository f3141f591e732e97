"""An application with its own pool, behind a PgBouncer, before a server: each is shown once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from conftest import require
from support.pgbouncer import PGBOUNCER, Bouncer
from support.postgres import EMBEDDED_16, Cluster, wait_until
from support.programs import answers, exporter, fetch, free_port, running

pytestmark = pytest.mark.debian

APP = Path(__file__).parent / "apps" / "leaks_on_command.py"


class Setup:
    """An exporter that polls all three, and the application under our command."""

    def __init__(self, url: str, app: subprocess.Popen[bytes]) -> None:
        self._url = url
        self._app = app

    def send(self, *words: str) -> None:
        """Give the application its orders."""
        assert self._app.stdin is not None
        for word in words:
            self._app.stdin.write(f"{word}\n".encode())
        self._app.stdin.flush()

    def values(self, metric: str, label: str = "state") -> dict[str, float]:
        """The values of a metric above 0 now, of all series, added up by one of their labels."""
        found: dict[str, float] = {}
        for family in text_string_to_metric_families(fetch(f"{self._url}/metrics")):
            for sample in family.samples:
                if sample.name == metric and sample.value:
                    key = sample.labels.get(label, "")
                    found[key] = found.get(key, 0) + sample.value
        return found

    def shows(
        self, pool: dict[str, float], bouncer: dict[str, float], server: dict[str, float]
    ) -> None:
        """Wait until each of the three shows these connections by state, and no others."""
        wanted = (pool, bouncer, server)
        metrics = ("pg_pool_connections", "pg_bouncer_connections", "pg_server_connections")

        def all_of_them() -> bool:
            return tuple(map(self.values, metrics)) == wanted

        try:
            wait_until(all_of_them, "all three agree", 10)
        except TimeoutError:
            assert tuple(map(self.values, metrics)) == wanted


@pytest.fixture
def setup(tmp_path: Path) -> Iterator[Setup]:
    require(PGBOUNCER.exists(), "PgBouncer from Debian's packages")
    address = f"127.0.0.1:{free_port()}"
    sockets = tmp_path / "sockets"
    sockets.mkdir(mode=0o700)
    databases = {"shop": "dbname=postgres pool_size=4"}
    with Cluster(EMBEDDED_16) as cluster:
        cluster.run("CREATE ROLE app LOGIN")
        with Bouncer(cluster, databases, {"pool_mode": "transaction"}) as bouncer:
            config = tmp_path / "config.yaml"
            config.write_text(
                f'servers: [{{name: main, dsn: "{cluster.dsn()}", interval: 300ms}}]\n'
                f'pgbouncers: [{{name: edge, dsn: "{bouncer.dsn()}", interval: 300ms}}]\n'
                "processes: {interval: 300ms}\n"
            )
            command = exporter(
                "run", f"--config.file={config}", f"--socket-dir={sockets}",
                f"--web.listen-address={address}",
            )  # fmt: skip
            environment = {"PG_POOL_EXPORTER_SOCKET_DIR": str(sockets)}
            application = [sys.executable, str(APP), bouncer.dsn("shop", "app")]
            with (
                running(command, log=tmp_path / "log"),
                running(
                    application, log=tmp_path / "log", environment=environment,
                    stdin=subprocess.PIPE,
                ) as app,
            ):  # fmt: skip
                wait_until(lambda: answers(f"http://{address}/-/ready"), "it is ready", 20)
                yield Setup(f"http://{address}", app)


def test_the_application_the_bouncer_and_the_server_each_show_their_own_connections(
    setup: Setup,
) -> None:
    setup.send("work", "work", "work")
    setup.shows(
        pool={"active": 3},
        bouncer={"active": 3},
        server={"idle_in_transaction": 3},
    )
    assert setup.values("pg_bouncer_clients") == {"active": 3}
    assert setup.values("pg_pool_max_connections", "app") == {"orders": 5}
    assert setup.values("pg_bouncer_pool_size", "user") == {"app": 4}

    assert setup.values("pg_bouncer_up", "bouncer") == {"edge": 1}

    setup.send("back", "back")
    setup.shows(
        pool={"active": 1, "idle": 2},
        bouncer={"active": 1, "idle": 2},
        server={"idle_in_transaction": 1, "idle": 2},
    )
    assert setup.values("pg_server_connections", "user") == {"app": 3}
    assert setup.values("pg_bouncer_connections", "user") == {"app": 3}
    assert setup.values("pg_pool_connections", "app") == {"orders": 3}

    setup.send("keep", "keep")
    setup.shows(
        pool={"active": 3},
        bouncer={"active": 1, "idle": 2},
        server={"idle_in_transaction": 1, "idle": 2},
    )
