"""The scenarios with real pools, a real PostgreSQL, the exporter and a real Prometheus.

All durations are divided by one factor: leak threshold, poll and scrape intervals, and those in our
rules. The truth is the scenario's; what is asked is what the alerts say.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pg_pool_exporter.findings import Cause
from scenarios.alerts import Alert, alert_of
from support.postgres import EMBEDDED_16, Cluster, wait_until
from support.programs import Prometheus, exporter, fetch, free_port, running
from support.rule_files import FILES

FACTOR = 20
LEAK_AFTER = 60.0 / FACTOR
INTERVAL = 5.0 / FACTOR
SCRAPE = 15.0 / FACTOR
FAULT_AFTER = 15.0
"""Real seconds from the start of an application to its fault."""
APP = Path(__file__).parents[1] / "apps" / "workload.py"

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(?<=\[)(\d+)([smhd])(?=[\]:])|(?<=offset )(\d+)([smhd])\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """One process, see tests/apps/workload.py. Rates are in real seconds."""

    app: str = "orders"
    most: int = 6
    least: int = 2
    timeout: float = 3.0
    rate: float = 30.0
    otherwise: str = "work"
    fault: str = "work"
    one_in: int = 1
    faulty_rate: float | None = None
    at_start: tuple[str, ...] = ()
    foreign: bool = False

    def plan(self) -> str:
        """The argument of the application."""
        values = {
            **asdict(self), "leak_after": LEAK_AFTER, "fault_after": FAULT_AFTER,
            "faulty_rate": self.rate if self.faulty_rate is None else self.faulty_rate,
        }  # fmt: skip
        return json.dumps(values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """How a scenario runs live. `act` is called at the fault, with the running server."""

    apps: tuple[App, ...]
    seconds: float = 45.0
    """From the fault to the verdict."""
    act: Callable[[Cluster, ExitStack], None] = lambda _cluster, _stack: None
    settings: dict[str, str] = field(default_factory=dict)
    causes: frozenset[Cause] | None = None
    """Where they differ from the scenario's."""


def _leak(kind: str, **more: Any) -> Live:
    return Live(apps=(App(fault=kind, one_in=150, **more),), seconds=60.0)


def _fill(cluster: Cluster, stack: ExitStack) -> None:
    for _ in range(85):
        stack.enter_context(cluster.connect(application_name="batch"))


def _stop(cluster: Cluster, stack: ExitStack) -> None:
    cluster.pause_all()
    stack.callback(cluster.resume)


LIVE: dict[str, Live] = {
    "leak-drop-slow": _leak("drop"),
    "leak-drop-fast": Live(apps=(App(fault="drop", one_in=30),)),
    "leak-keep": _leak("keep"),
    "leak-keep-foreign": _leak("keep", foreign=True),
    "leak-exception": _leak("exception"),
    "leak-early-return": _leak("early_return"),
    "too-small": Live(
        apps=(App(rate=20, otherwise="hold", fault="hold", faulty_rate=172, timeout=10),)
    ),
    "slow-queries": Live(apps=(App(fault="slow", rate=13, timeout=10),)),
    "zombies": _leak("zombie"),
    "lock-pile-up": Live(
        apps=(
            App(most=12, otherwise="lock", fault="lock", timeout=10),
            App(app="billing", rate=0, fault="migrate", faulty_rate=0.04, most=2),
        )
    ),
    "deadlocks": Live(apps=(App(fault="deadlock", one_in=100),), seconds=30.0),
    "oversubscribed": Live(apps=(App(), App(most=120)), seconds=45.0),
    "server-full": Live(apps=(App(),), act=_fill),
    "leak-and-locks": Live(
        apps=(
            App(fault="drop", one_in=150),
            App(app="shop", most=12, otherwise="lock", fault="lock", timeout=10),
            App(app="billing", rate=0, fault="migrate", faulty_rate=0.04, most=2),
        )
    ),
    "leak-and-zombies": Live(
        apps=(App(fault="drop", one_in=150), App(app="billing", fault="zombie", one_in=150))
    ),
    "postgresql-down": Live(apps=(App(),), act=_stop),
    "bursts": Live(apps=(App(fault="burst", one_in=900),), seconds=75.0),
    "batch": Live(
        apps=(App(), App(app="reports", most=4, rate=0, fault="long_query", faulty_rate=0.1))
    ),
    "min-idle": Live(apps=(App(least=6, rate=0, faulty_rate=0),)),
    "low-traffic": Live(apps=(App(least=5, rate=0.2, faulty_rate=0.2),)),
    "listen": Live(apps=(App(at_start=("listen",)),)),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the alerts said, and the names of the series that were scraped."""

    alerts: list[Alert]
    """Their `first` is in real seconds from the fault; negative before it."""
    metrics: frozenset[str]
    findings: dict[str, Any]
    """The exporter's own, at the end."""


def run_live(name: str, directory: Path) -> Outcome:
    """Run one of `LIVE`; takes some two minutes. `directory` is for files."""
    live = LIVE[name]
    with ExitStack() as stack:
        cluster = stack.enter_context(Cluster(EMBEDDED_16, settings=live.settings))
        cluster.run("CREATE TABLE stock (id int PRIMARY KEY, number int)")
        cluster.run("INSERT INTO stock VALUES (1, 0)")
        address = stack.enter_context(_exporter(cluster, live, directory))
        prometheus = stack.enter_context(
            Prometheus(
                directory, address, interval=SCRAPE, rules=scaled_rules(directory),
                lookback=300 / FACTOR,
            )
        )  # fmt: skip
        for app, port in zip(live.apps, _ports(directory), strict=False):
            _start(cluster, app, port, directory, stack)
        fault = time.time() + FAULT_AFTER
        time.sleep(FAULT_AFTER)
        acted = threading.Event()
        with ExitStack() as acting:
            live.act(cluster, acting)
            acted.wait(live.seconds)
            seconds = int(time.time() - fault + FAULT_AFTER + 30)
            found = prometheus.query(
                f'min_over_time(timestamp(ALERTS{{alertstate="firing"}})[{seconds}s:1s])'
            )
            metrics = {
                labels["__name__"] for labels, _ in prometheus.query('{__name__=~"pg_.*"}')
                if ":" not in labels["__name__"]
            }  # fmt: skip
            findings = json.loads(fetch(f"http://{address}/api/v1/findings"))
    alerts = [alert_of(labels, value - fault) for labels, value in found]
    return Outcome(
        sorted((one for one in alerts if one is not None), key=lambda one: one.first),
        frozenset(metrics),
        findings,
    )


@contextmanager
def _exporter(cluster: Cluster, live: Live, directory: Path) -> Iterator[str]:
    """The running exporter; yields its address."""
    interval = f"{INTERVAL * 1000:.0f}ms"
    sockets = directory / "sockets"
    foreign = [
        {"name": app.app, "server": "main", "leak_after": f"{LEAK_AFTER:g}s", "interval": interval,
         "format": "micrometer", "targets": [f"http://127.0.0.1:{port}/metrics"]}
        for app, port in zip(live.apps, _ports(directory), strict=False) if app.foreign
    ]  # fmt: skip
    config = directory / "config.json"
    config.write_text(
        json.dumps(
            {
                "socket_dir": str(sockets),
                "processes": {"interval": interval},
                "servers": [{"name": "main", "dsn": cluster.dsn(), "interval": interval}],
                "apps": foreign,
            }
        )
    )
    address = f"127.0.0.1:{free_port()}"
    command = exporter(f"--config.file={config}", f"--web.listen-address={address}")
    with running(command, log=directory / "exporter.log"):
        wait_until(lambda: _answers(f"http://{address}/-/healthy"), "the exporter answers")
        yield address


def _answers(url: str) -> bool:
    try:
        fetch(url)
    except OSError:
        return False
    return True


def _ports(directory: Path) -> Iterator[int]:
    """Ports for the applications' own pages: the same each time for one directory."""
    path = directory / "ports.json"
    if not path.exists():
        path.write_text(json.dumps([free_port() for _ in range(4)]))
    yield from json.loads(path.read_text())


def _start(cluster: Cluster, app: App, port: int, directory: Path, stack: ExitStack) -> None:
    log = directory / f"{app.app}-{port}.log"
    dsn = cluster.dsn(application_name=app.app)
    command = [sys.executable, "-W", "error", str(APP), dsn, app.plan()]
    stack.enter_context(
        running(
            [*command, str(port)] if app.foreign else command,
            log=log,
            environment={"PG_POOL_EXPORTER_SOCKET_DIR": str(directory / "sockets")},
        )
    )
    wait_until(lambda: "ready" in log.read_text(), f"{app.app} is ready: {log}")


def scaled_rules(directory: Path) -> list[Path]:
    """Our rules with all their durations divided by the factor, in files of their own."""
    scaled = []
    for file in FILES:
        groups = yaml.safe_load(file.read_text())
        for group in groups["groups"]:
            for rule in group["rules"]:
                rule["expr"] = _DURATION.sub(_scaled, str(rule["expr"]))
                for key in ("for", "keep_firing_for"):
                    if key in rule:
                        rule[key] = re.sub(r"(\d+)([smhd])", _scaled, rule[key])
                if re.fullmatch(r"pg_pool_exporter:threshold:\w+_seconds", rule.get("record", "")):
                    rule["expr"] = str(float(rule["expr"]) / FACTOR)
        path = directory / f"rules-{file.name}"
        path.write_text(yaml.safe_dump(groups, sort_keys=False))
        scaled.append(path)
    return scaled


def _scaled(found: re.Match[str]) -> str:
    number, unit = (part for part in found.groups() if part is not None)
    return f"{int(number) * _UNITS[unit] * 1000 // FACTOR}ms"
