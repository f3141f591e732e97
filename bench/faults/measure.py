"""Provokes a fault, and measures what shows it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any, NamedTuple

from bench.faults.case import Expected, Fault
from bench.faults.stand import Stand
from support.busy import within

_UNHARMED_SECONDS = 1.5
"""How long all must stay well where a fault must not harm."""
# Half of Prometheus' default timeout: a scrape that waits for a hung target takes longer. The
# measured time is in the table; a tighter bound would measure the machine.
_SLOWEST_SCRAPE = 5.0
"""Seconds on a quiet machine, where a scrape takes milliseconds."""
_MOST_LOG_LINES = 25
"""Of one fault, which concerns at most eight targets."""


@dataclass(kw_only=True)
class Outcome:
    """What a fault showed. Times are seconds since it was provoked."""

    fault: Fault
    shown: dict[str, float] = field(default_factory=dict)
    """What was expected and came, by the field of `Expected`, and when."""
    doctor: int | None = None
    line: str = ""
    """The first line of the log that belongs to it."""
    lines: int = 0
    """How many there were."""
    slowest_scrape: float = 0.0
    recovered_after: float | None = None
    peer: str = ""
    wrong: list[str] = field(default_factory=list)
    """What was not as expected."""


def measure(stand: Stand, fault: Fault, *, with_peer: bool = False) -> Outcome:
    """Provoke `fault` on a stand that is well, and wait until it has recovered.

    `with_peer`: postgres_exporter is asked meanwhile, where the fault concerns it.
    """
    outcome = Outcome(fault=fault)
    stand.settle()
    with_peer &= fault.peer
    if with_peer:
        stand.start_peer()
    watch = _Watch(stand, fault.expected, outcome)
    with ThreadPoolExecutor(1) as beside:
        try:
            with fault.provoke(stand):
                asked = beside.submit(stand.ask_peer) if with_peer and stand.peer else None
                watch.until_shown()
                outcome.doctor = stand.doctor()
                if asked is not None:
                    outcome.peer = asked.result()
        except AssertionError as error:
            outcome.wrong.append(str(error) or "an assertion failed")
    restored = time.monotonic()
    try:
        stand.settle()
    except TimeoutError as error:
        outcome.wrong.append(f"does not recover: {error}")
    else:
        outcome.recovered_after = time.monotonic() - restored
    _judge(outcome)
    return outcome


class _Seen(NamedTuple):
    """One look at everything that can show a fault."""

    series: Mapping[str, float]
    causes: frozenset[str]
    verdicts: Mapping[str, str]
    records: list[dict[str, Any]]

    def shows(self, expected: Expected, failures: float) -> set[str]:
        """The fields of `expected` that show."""
        shown = {
            "down": _target(self.series, "pg_pool_exporter_target_up", expected.down) == 0,
            "reason": _failures(self.series, expected) > failures,
            "series": any(
                expected.least <= value <= expected.most
                for name, value in self.series.items()
                if name.startswith(expected.series)
            ),
            "cause": expected.cause in self.causes,
            "check": self.verdicts.get(expected.check, "fine") != "fine",
            "log": bool(_line(self.records, expected.log)),
        }
        return {name for name in shown if shown[name] and getattr(expected, name)}


class _Watch:
    """Looks again and again, and notes in the outcome what shows, and when."""

    def __init__(self, stand: Stand, expected: Expected, outcome: Outcome) -> None:
        self._stand, self._expected, self._outcome = stand, expected, outcome
        self._log = stand.log_size()
        self._failures = _failures(stand.scrape().series, expected)
        self._wanted = {
            name
            for name in ("down", "reason", "series", "cause", "check", "log")
            if getattr(expected, name)
        }

    def until_shown(self) -> None:
        """Watch until all shows that is expected, or the time is over."""
        begun = time.monotonic()
        last = begun + (self._expected.within if self._wanted else _UNHARMED_SECONDS)
        outcome = self._outcome
        while time.monotonic() < last and not (
            self._wanted and self._wanted <= outcome.shown.keys()
        ):
            try:
                scrape, seen = self._look()
            except (OSError, HTTPException) as error:
                outcome.wrong.append(f"no answer: {type(error).__name__}")
                return
            outcome.slowest_scrape = max(outcome.slowest_scrape, scrape)
            for name in seen.shows(self._expected, self._failures) - outcome.shown.keys():
                outcome.shown[name] = time.monotonic() - begun
            outcome.lines = len(seen.records)
            outcome.line = _line(seen.records, self._expected.log) or _line(seen.records, "")
            time.sleep(0.05)
        if not self._wanted:
            self._must_be_well()

    def _must_be_well(self) -> None:
        # Not at each moment: on a busy machine any poll can be late.
        try:
            self._stand.settle()
        except TimeoutError as error:
            self._outcome.wrong.append(f"harms: {error}")

    def _look(self) -> tuple[float, _Seen]:
        scrape = self._stand.scrape()
        document = self._stand.findings()
        return scrape.seconds, _Seen(
            scrape.series,
            frozenset(one["cause"] for one in document["findings"]),
            {one["check"]: one["verdict"] for one in document["checks"]},
            self._stand.logged(self._log),
        )


def _judge(outcome: Outcome) -> None:
    expected = outcome.fault.expected
    for name in ("down", "reason", "series", "cause", "check", "log"):
        if (wanted := getattr(expected, name)) and name not in outcome.shown:
            outcome.wrong.append(f"{name} {wanted} does not show in {expected.within:g} s")
    if outcome.slowest_scrape > within(_SLOWEST_SCRAPE):
        outcome.wrong.append(f"a scrape took {outcome.slowest_scrape:.1f} s")
    if outcome.lines > _MOST_LOG_LINES:
        outcome.wrong.append(f"{outcome.lines} lines in the log")


def _target(series: Mapping[str, float], metric: str, target: str) -> float | None:
    """The value of a target's series; `target` is its kind and the start of its name."""
    kind, _, name = target.partition(" ")
    for one, value in series.items():
        if one.startswith(f'{metric}{{target="{name}') and f'kind="{kind}"' in one:
            return value
    return None


def _failures(series: Mapping[str, float], expected: Expected) -> float:
    kind, _, name = expected.down.partition(" ")
    start = f'pg_pool_exporter_poll_failures_total{{target="{name}'
    return sum(
        value
        for one, value in series.items()
        if one.startswith(start) and f'kind="{kind}",reason="{expected.reason}"' in one
    )


def _line(records: Iterable[Mapping[str, Any]], part: str) -> str:
    """The first record, from warnings on where no `part` is asked for, that holds `part`."""
    for one in records:
        text = f"{one['msg']}: {one['error']}" if "error" in one else str(one["msg"])
        if part in text and (part or one["level"] in ("warning", "error")):
            return text
    return ""
