"""The example for Alertmanager, in a real one: what is silent because something worse is known."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from conftest import require
from support.postgres import wait_until
from support.programs import answers, fetch, free_port, running
from support.rule_files import ALERTS, ROOT, severities

pytestmark = pytest.mark.debian

CONFIG = ROOT / "deploy/alertmanager/alertmanager.example.yml"
ALERTMANAGER = Path("/usr/bin/prometheus-alertmanager")
AMTOOL = Path("/usr/bin/amtool")

Labels = dict[str, str]
EXPORTER = {"job": "pg-pools", "instance": "db:10432"}
OTHER_EXPORTER = {**EXPORTER, "instance": "db-2:10432"}
POOL = {"app": "orders", "pool": "main", "job": "pg-pools"}
PROCESS = {**POOL, "process": "web:0", **EXPORTER}
OTHER_PROCESS = {**PROCESS, "process": "web:1"}
SERVER = {"server": "main", **EXPORTER}


def alert(name: str, /, **labels: str) -> Labels:
    """An alert with the labels that its rule gives it, and `labels`."""
    own = {**ALERTS[name].labels, "severity": severities(ALERTS[name])[0]}
    return {"alertname": name, **own, **labels}


class Alertmanager:
    """A running Alertmanager with the example's configuration."""

    def __init__(self, url: str) -> None:
        self._url = url

    def send(self, *alerts: Labels) -> None:
        """Alerts that fire from now on."""
        request = urllib.request.Request(
            f"{self._url}/api/v2/alerts",
            json.dumps([{"labels": one} for one in alerts]).encode(),
            {"Content-Type": "application/json"},
        )
        urllib.request.urlopen(request, timeout=10).close()

    def states(self) -> dict[str, str]:
        """`active` or `suppressed`, by the alert's name; `unprocessed` for a moment."""
        alerts: list[dict[str, Any]] = json.loads(fetch(f"{self._url}/api/v2/alerts"))
        return {one["labels"]["alertname"]: one["status"]["state"] for one in alerts}


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[Alertmanager]:
    require(ALERTMANAGER.exists(), "Debian's package prometheus-alertmanager")
    address = f"127.0.0.1:{free_port()}"
    command: list[str | Path] = [
        ALERTMANAGER, f"--config.file={CONFIG}", f"--storage.path={tmp_path}",
        f"--web.listen-address={address}", "--cluster.listen-address=",
    ]  # fmt: skip
    with running(command, log=tmp_path / "log"):
        wait_until(lambda: answers(f"http://{address}/-/ready"), "Alertmanager is ready")
        yield Alertmanager(f"http://{address}")


def test_amtool_finds_nothing_wrong() -> None:
    require(AMTOOL.exists(), "Debian's package prometheus-alertmanager")
    checked = subprocess.run(
        [AMTOOL, "check-config", CONFIG], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


def test_every_alert_that_it_names_exists() -> None:
    names = {word for word in CONFIG.read_text().replace('"', " ").split() if word[:2] == "Pg"}
    assert {name.strip(",]'") for name in names if name.strip(",]'").isalnum()} <= ALERTS.keys()


@pytest.mark.parametrize(
    ("worse", "silent", "heard"),
    [
        pytest.param(
            alert("PgPoolSaturated", **PROCESS),
            [alert(name, **PROCESS) for name in (
                "PgPoolNearSaturation", "PgPoolUseHigh", "PgPoolSaturationPredicted",
            )],
            [alert("PgPoolConnectionLeaked", **POOL, site="orders/report.py:42 build")],
            id="a saturated pool is in high use, and still leaks",
        ),
        pytest.param(
            alert("PgPoolSaturated", **PROCESS), [],
            [alert("PgPoolUseHigh", **OTHER_PROCESS)],
            id="another process's pool has troubles of its own",
        ),
        pytest.param(
            alert("PgPoolNearSaturation", **PROCESS),
            [alert("PgPoolUseHigh", **PROCESS)], [],
            id="nearly full is in high use",
        ),
        pytest.param(
            alert("PgPoolTimeoutBurnFast", **POOL),
            [alert("PgPoolTimeoutBurnSlow", **POOL), alert("PgPoolAcquireSlow", **POOL)],
            [alert("PgPoolSaturated", **PROCESS)],
            id="requests that fail are slow, and the pool is full",
        ),
        pytest.param(
            alert("PgPoolConnectionLeaked", **POOL, site="a.py:1 f"),
            [alert("PgPoolCheckoutOverdue", **POOL, site="a.py:1 f")], [],
            id="a line that loses connections also keeps some",
        ),
        pytest.param(
            alert("PgPoolConnectionLeaked", **POOL, site="a.py:1 f"), [],
            [alert("PgPoolCheckoutOverdue", **POOL, site="b.py:2 g")],
            id="another line keeps connections",
        ),
        pytest.param(
            alert("PgServerFull", **SERVER, cause="server_full"), [],
            [alert("PgServerIdleInTransaction", **SERVER, severity="warning")],
            id="a full server has transactions left open",
        ),
        pytest.param(
            alert("PgServerDown", **SERVER),
            [alert(name, **SERVER) for name in (
                "PgServerFull", "PgServerLockPileUp", "PgPoolLeak",
            )],
            [
                alert("PgServerOversubscribed", **{**SERVER, "server": "other"}),
                alert("PgPoolSaturated", **PROCESS),
            ],
            id="a server that is down has no other alert",
        ),
        pytest.param(
            alert("PgServerDown", **SERVER), [],
            [alert("PgServerFull", **{**SERVER, **OTHER_EXPORTER})],
            id="another exporter reaches its server of that name",
        ),
        pytest.param(
            alert("PgBouncerDown", bouncer="edge"),
            [alert("PgBouncerPoolFull", bouncer="edge")],
            [alert("PgBouncerClientsWaiting", bouncer="other")],
            id="a bouncer that is down has no other alert",
        ),
        pytest.param(
            alert("PgPoolExporterDown", **EXPORTER),
            [
                alert("PgPoolSaturated", **PROCESS),
                alert("PgPoolExporterMissing"),
                alert("PgPoolExporterShardMissing", job=EXPORTER["job"]),
            ],
            [alert("PgServerLockPileUp", **{**SERVER, **OTHER_EXPORTER})],
            id="an exporter that is down knows nothing of its pools",
        ),
        pytest.param(
            alert("PgPoolExporterDown", **EXPORTER), [],
            [alert("PgPoolExporterShardMissing", job="shards")],
            id="an exporter that is down is no shard of another job",
        ),
        pytest.param(
            alert("PgPoolExporterDown", **EXPORTER, env="staging"), [],
            [
                alert("PgPoolSaturated", **PROCESS, env="production"),
                alert("PgPoolExporterMissing", env="production"),
            ],
            id="an exporter that is down in staging silences nothing of production",
        ),
    ],
)  # fmt: skip
def test_something_worse_silences_what_follows_from_it(
    alertmanager: Alertmanager, worse: Labels, silent: list[Labels], heard: list[Labels]
) -> None:
    alertmanager.send(worse, *silent, *heard)
    expected = {one["alertname"]: "suppressed" for one in silent}
    expected |= {one["alertname"]: "active" for one in (worse, *heard)}
    with suppress(TimeoutError):  # what it is instead is said below
        wait_until(lambda: alertmanager.states() == expected, "alerts are processed", 10)
    assert alertmanager.states() == expected
