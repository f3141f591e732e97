"""Runs a scenario live and gives the same verdict as on the virtual clock."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from pg_pool_exporter.analysis.findings.finding import Cause
from scenarios.alerts import Alert, alert_of
from scenarios.exporter import SCRAPE
from scenarios.live import RUNS, Live, stand_of
from scenarios.live_stand import Stand
from scenarios.scenario import FAULT, SATURATED_FOR
from scenarios.verdict import Verdict
from support.programs import Prometheus, fetch
from support.rule_files import FILES
from support.scaled_rules import write_scaled

# What counts if it is still there at the next look. Polls have a fraction of their usual time, so a
# busy machine misses one now and then. And transactions last as long as they do: until they have
# lasted for long, a bouncer's pool whose transactions all began at once looks too small.
_FOR_A_MOMENT = {
    Cause.POSTGRESQL_UNREACHABLE, Cause.TARGET_UNREACHABLE, Cause.BOUNCER_POOL_TOO_SMALL
}  # fmt: skip
_HEALTHY_SECONDS = 15.0
"""Real seconds before the fault."""
_USE = (
    'max(sum without (state) (pg_pool_connections{app="orders", state="active"})'
    " / pg_pool_max_connections)"
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was said, and the names of the series that were scraped."""

    verdict: Verdict
    """Its times are seconds on the virtual clock, whose fault is at `FAULT`."""
    metrics: frozenset[str]
    findings: dict[Cause, dict[str, Any]]
    """The first with each cause."""


def run_live(name: str, directory: Path) -> Outcome:
    """Run one of `RUNS`; takes some two minutes. `directory` is for files."""
    scenario, page = RUNS[name]
    how = stand_of(scenario.name, page)
    with ExitStack() as stack:
        stand = Stand(
            stack, directory, apps=how.apps, page=page, factor=how.factor, settings=how.settings,
            environment=how.environment, bouncer=how.bouncer, link=how.link,
        )  # fmt: skip
        prometheus = stack.enter_context(
            Prometheus(
                directory, stand.address, interval=SCRAPE / how.factor,
                rules=write_scaled(FILES, directory, how.factor), lookback=300 / how.factor,
            )
        )  # fmt: skip
        with _findings(stand.address, SCRAPE / how.factor) as found:
            fault = _let_it_run(stand, how)

        def virtual(at: float) -> float:
            return FAULT + (at - fault) * how.factor

        return Outcome(
            Verdict(
                scenario=scenario,
                page=page,
                alerts=_alerts(prometheus, fault, virtual),
                found={
                    cause: virtual(at)
                    for cause, (at, _) in found.items()
                    if cause is not Cause.UNKNOWN
                },
                saturated=_saturated(prometheus, fault, how.factor),
            ),
            _metrics(prometheus),
            {cause: finding for cause, (_, finding) in found.items()},
        )


def _let_it_run(stand: Stand, how: Live) -> float:
    """Healthy for a while, then with the fault. When that began, in seconds since the epoch."""
    time.sleep(_HEALTHY_SECONDS)
    fault = time.time()
    stand.begin_fault()
    with ThreadPoolExecutor(1) as somebody:
        acting = somebody.submit(how.act, stand)
        try:
            time.sleep(how.seconds)
        finally:
            stand.ended.set()
        acting.result()
    return fault


_Found = dict[Cause, tuple[float, dict[str, Any]]]


@contextmanager
def _findings(address: str, interval: float) -> Iterator[_Found]:
    """The first finding with each cause, and when it was seen, as they come."""
    found: _Found = {}
    over = Event()

    def look() -> None:
        before: set[Cause] = set()
        while not over.wait(interval):
            now = time.time()
            findings = json.loads(fetch(f"http://{address}/api/v1/findings"))["findings"]
            causes = {Cause(finding["cause"]): finding for finding in reversed(findings)}
            for cause, finding in causes.items():
                if cause not in _FOR_A_MOMENT or cause in before:
                    found.setdefault(cause, (now, finding))
            before = {*causes}

    with ThreadPoolExecutor(1) as viewer:
        looking = viewer.submit(look)
        try:
            yield found
        finally:
            over.set()
        looking.result()


def _alerts(prometheus: Prometheus, fault: float, virtual: Callable[[float], float]) -> list[Alert]:
    seconds = time.time() - fault + _HEALTHY_SECONDS + 30
    fired = f'timestamp(ALERTS{{alertstate="firing"}})[{seconds:.0f}s:250ms]'
    first = prometheus.query(f"min_over_time({fired})")
    ended = {str(labels): at for labels, at in prometheus.query(f"max_over_time({fired})")}
    alerts = [
        alert_of(labels, virtual(at), virtual(ended.get(str(labels), at))) for labels, at in first
    ]
    return sorted((one for one in alerts if one is not None), key=lambda one: one.first)


def _saturated(prometheus: Prometheus, fault: float, factor: float) -> float | None:
    """Since when, on the virtual clock, a pool was out as a whole and stayed so."""
    step = SCRAPE / factor
    data = prometheus.get("query_range", query=_USE, start=fault, end=time.time(), step=step)
    since: float | None = None
    for series in data["result"]:
        for at, use in series["values"]:
            if float(use) < 1:
                since = None
            elif since is None:
                since = at
            elif at - since >= SATURATED_FOR / factor:
                return FAULT + (since - fault) * factor
    return None


def _metrics(prometheus: Prometheus) -> frozenset[str]:
    named = prometheus.query('group by (__name__) ({__name__=~"pg_.*"})')
    return frozenset(labels["__name__"] for labels, _ in named if ":" not in labels["__name__"])
