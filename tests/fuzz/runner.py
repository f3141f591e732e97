"""Gives mutants to a harness, and keeps the least input of each fault."""

from __future__ import annotations

import resource
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from math import inf
from types import FrameType

from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families as text_families

from fuzz.harness import Check, Harness
from fuzz.mutator import Mutator
from pg_pool_exporter.metrics.text_format import page

CPU_SECONDS = 1.0
"""Most CPU time for one input."""
SECONDS = 20.0
"""Most time for one input, on a machine that is busy with other things."""
MAX_GROWTH = 200 * 1024
"""Most KiB by which the peak of the memory grows after the seeds."""
_MAX_FAULTS = 20
_SHRINK_SECONDS = 10.0


class Hang(BaseException):
    """No end in time. Nothing that catches `Exception` may catch it."""


class GrowthError(Exception):
    """More memory than an input may cost."""


class OutputError(Exception):
    """What is shown is no valid page."""


@dataclass
class Fault:
    """One way to fail, and the least input that does."""

    data: bytes
    text: str


@dataclass
class Report:
    """What a run has found."""

    harness: str
    mutants: int = 0
    seconds: float = 0.0
    faults: dict[str, Fault] = field(default_factory=dict)


class Session:
    """Gives inputs to a started harness, each with its bounds."""

    def __init__(self, harness: Harness, check: Check) -> None:
        self._check = check
        self._forms = (False, True) if harness.openmetrics else (False,)
        self._started = time.perf_counter()
        self._peak = 0
        self.report = Report(harness.name)
        for seed in harness.seeds:
            self.try_input(seed)
        self.report.mutants = 0
        self._peak = _peak()

    def try_input(self, data: bytes) -> None:
        """Check one input; a new fault is noted with a smaller input that has it."""
        self.report.mutants += 1
        self.report.seconds = time.perf_counter() - self._started
        found = self._fault(data)
        if found is None or found[0] in self.report.faults:
            return
        key, text = found
        if len(self.report.faults) < _MAX_FAULTS:
            least = shrink(data, lambda smaller: (self._fault(smaller) or ("",))[0] == key)
            self.report.faults[key] = Fault(least, text)

    def _fault(self, data: bytes) -> tuple[str, str] | None:
        """A name for how the check fails, and the traceback; None when it holds."""
        try:
            with _deadline():
                shown = self._check(data)
            for openmetrics in self._forms:
                check_page(page(shown, openmetrics=openmetrics), openmetrics=openmetrics)
            if self._peak and _peak() - self._peak > MAX_GROWTH:
                self._peak = _peak()
                raise GrowthError(f"grew by more than {MAX_GROWTH} KiB")
        except (Exception, Hang) as error:  # noqa: BLE001 - that is what is looked for
            frames = traceback.extract_tb(error.__traceback__)
            own = [one for one in frames if "pg_pool_exporter" in one.filename] or frames
            key = f"{type(error).__name__} at {own[-1].name}"
            if isinstance(error, Hang):
                key = "Hang"
            return key, "".join(traceback.format_exception(error, limit=-8))[-4000:]
        return None


def run(harness: Harness, mutants: int, seed: int, seconds: float = inf) -> Report:
    """Check the seeds, and this many mutants, or as many as `seconds` allow."""
    mutator = Mutator(
        harness.seeds, harness.tokens, harness.max_bytes, seed=f"{seed} {harness.name}"
    )
    with harness.start() as check:
        session = Session(harness, check)
        while session.report.mutants < mutants and session.report.seconds < seconds:
            session.try_input(mutator.next())
    return session.report


def shrink(data: bytes, fails: Callable[[bytes], bool]) -> bytes:
    """A smaller input that fails alike: parts are left out, as long as it does."""
    deadline = time.perf_counter() + _SHRINK_SECONDS
    step = len(data) // 2
    while step:
        start = 0
        while start < len(data):
            if time.perf_counter() > deadline:
                return data
            smaller = data[:start] + data[start + step :]
            if fails(smaller):
                data = smaller
            else:
                start += step
        step //= 2
    return data


@lru_cache(maxsize=512)
def check_page(text: str, *, openmetrics: bool) -> None:
    """Raise `OutputError` unless a page is valid."""
    try:
        if openmetrics:
            # The library has types for the other parser only.
            list(openmetrics_families(text))  # type: ignore[no-untyped-call]
        else:
            list(text_families(text))
    except Exception as error:
        raise OutputError(f"{type(error).__name__}: {error}") from error
    series = [line.rpartition(" ")[0] for line in text.split("\n") if line[:1] not in ("", "#")]
    if len(series) != len({*series}):
        raise OutputError("a series twice")


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _hang(_number: int, _frame: FrameType | None) -> None:
    raise Hang


@contextmanager
def _deadline() -> Iterator[None]:
    former = [signal.signal(number, _hang) for number in (signal.SIGPROF, signal.SIGALRM)]
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in zip((signal.SIGPROF, signal.SIGALRM), former, strict=True):
            signal.signal(number, handler)
