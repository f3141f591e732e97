"""The whole way, with Debian's Prometheus at its end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from conftest import require
from support.postgres import Cluster, wait_until
from support.programs import (
    PROMETHEUS,
    PROMTOOL,
    Prometheus,
    answers,
    exporter,
    fetch,
    free_port,
    running,
)

pytestmark = [pytest.mark.debian, pytest.mark.xdist_group("prometheus")]

APP = Path(__file__).parent / "apps" / "leaks_on_command.py"
INTERVAL = 1.0


@dataclass
class Setup:
    """A running exporter, an application under our command, and a Prometheus that scrapes."""

    url: str
    app: subprocess.Popen[bytes]
    prometheus: Prometheus

    def page(self) -> str:
        return fetch(f"{self.url}/metrics")

    def send(self, word: str) -> None:
        assert self.app.stdin is not None
        self.app.stdin.write(f"{word}\n".encode())
        self.app.stdin.flush()


@pytest.fixture(scope="module")
def setup(postgres: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setup]:
    """Server and application are scraped for some seconds before the test begins."""
    require(PROMETHEUS.exists() and PROMTOOL.exists(), "Debian's package prometheus")
    tmp_path = tmp_path_factory.mktemp("prometheus")
    address = f"127.0.0.1:{free_port()}"
    sockets = tmp_path / "sockets"
    config = tmp_path / "config.yaml"
    dsn = postgres.dsn(application_name="orders")
    config.write_text(
        f'servers: [{{name: main, dsn: "{postgres.dsn()}", interval: {INTERVAL:.0f}s}}]\n'
        f"processes: {{interval: {INTERVAL:.0f}s}}\n"
    )
    command = exporter(
        "run", f"--config.file={config}", f"--socket-dir={sockets}",
        f"--web.listen-address={address}",
    )  # fmt: skip
    log = tmp_path / "log"
    sockets.mkdir(mode=0o700)
    environment = {"PG_POOL_EXPORTER_SOCKET_DIR": str(sockets)}
    with (
        running(command, log=log),
        running(
            [sys.executable, APP, dsn], log=log, environment=environment, stdin=subprocess.PIPE
        ) as app,
    ):
        url = f"http://{address}"
        wait_until(lambda: answers(f"{url}/-/ready"), "the exporter is ready", 20)
        with Prometheus(tmp_path, address) as prometheus:
            # Older samples than the window of `increase`: its extrapolation then adds nothing.
            oldest = "min_over_time(timestamp(pg_pool_leaked_connections_total)[1m:1s])"
            wait_until(
                lambda: (prometheus.value(f"time() - {oldest}") or 0) > 22,
                "Prometheus has history", 60,
            )  # fmt: skip
            yield Setup(url, app, prometheus)


def test_prometheus_sees_the_pool_the_server_and_the_first_leak(setup: Setup) -> None:
    prometheus = setup.prometheus
    assert prometheus.value("up") == 1
    assert prometheus.value("pg_server_up") == 1
    assert prometheus.value('pg_pool_connections{app="orders",pool="main",state="idle"}') == 2
    assert prometheus.value("pg_pool_max_connections") == 5
    assert prometheus.value('sum(pg_server_connections{application="orders"})') == 2
    joined = "pg_pool_connections * on (app, pool, process) group_left(database, application) "
    assert prometheus.query(f"{joined} pg_pool_info")[0][0]["application"] == "orders"

    setup.send("leak")
    wait_until(lambda: "pg_pool_leaked_slots{" in setup.page(), "the leak is shown")
    line = next(n for n, text in enumerate(APP.read_text().splitlines(), 1) if "getconn()" in text)
    assert f'leaks_on_command.py:{line} forget"}} 1\n' in setup.page()

    increase = "increase(pg_pool_leaked_connections_total[20s])"
    wait_until(lambda: prometheus.value(increase), "Prometheus sees an increase", 10)
    assert prometheus.value(increase) == pytest.approx(1, abs=0.1)


def test_a_kept_connection_is_overdue_until_it_comes_back(setup: Setup) -> None:
    certain = setup.prometheus.value("sum(pg_pool_leaked_connections_total)")
    setup.send("keep")
    wait_until(lambda: "pg_pool_overdue_connections{" in setup.page(), "overdue is shown", 10)
    assert setup.prometheus.value("sum(pg_pool_leaked_connections_total)") == certain
    setup.send("back")
    wait_until(lambda: "pg_pool_overdue_connections{" not in setup.page(), "and gone again", 10)


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text"])
def test_promtool_has_nothing_to_say_about_a_live_page(setup: Setup, accept: str) -> None:
    page = fetch(f"{setup.url}/metrics", {"Accept": accept})
    if accept == "text/plain":
        checked = subprocess.run(
            [PROMTOOL, "check", "metrics"], input=page, capture_output=True, text=True, check=False
        )
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    else:
        assert page.endswith("# EOF\n")


def test_prometheus_scrapes_the_demo(tmp_path: Path) -> None:
    require(PROMETHEUS.exists(), "Debian's package prometheus")
    address = f"127.0.0.1:{free_port()}"
    with (
        running(exporter("demo", f"--web.listen-address={address}"), log=tmp_path / "log"),
        Prometheus(tmp_path, address) as prometheus,
    ):
        leaks = 'sum by (site) (pg_pool_leaked_slots{app="shop-leaky"})'
        wait_until(lambda: prometheus.query(leaks), "Prometheus sees the demo's leak", 60)
        assert prometheus.value("up") == 1
        assert "show_report" in prometheus.query(leaks)[0][0]["site"]
        assert prometheus.query('pg_pool_leaked_slots{app="shop-healthy"}') == []
        active = "sum by (app) (pg_pool_connections{state='active'})"
        use = f"{active} / sum by (app) (pg_pool_max_connections)"
        assert {labels["app"] for labels, _ in prometheus.query(use)} == {
            "shop-healthy",
            "shop-leaky",
        }
