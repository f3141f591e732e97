"""Analyses the states of the targets, in a thread beside the polls."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from queue import Empty

from pg_pool_exporter.analysis.advice.advice import Advice, advice
from pg_pool_exporter.analysis.advice.kept import KeptSizes
from pg_pool_exporter.analysis.awake_clock import AwakeClock
from pg_pool_exporter.analysis.checklist import Check, checklist
from pg_pool_exporter.analysis.correlate.correlation import Correlation
from pg_pool_exporter.analysis.exporter_status import ExporterStatus
from pg_pool_exporter.analysis.faults import Faults
from pg_pool_exporter.analysis.findings.finding import Finding, Verdict
from pg_pool_exporter.analysis.history.fleet_history import History
from pg_pool_exporter.analysis.records.fleet_view import FleetView, fleet_view
from pg_pool_exporter.analysis.records.lasting_leaks import LastingLeaks
from pg_pool_exporter.analysis.thresholds import AllThresholds
from pg_pool_exporter.analysis.verdicts.judge import VERDICTS, Judged, judge
from pg_pool_exporter.blocking.threads import Lane
from pg_pool_exporter.config import Config
from pg_pool_exporter.model import TargetId
from pg_pool_exporter.polling.store import Change, Store

# When these fail, the analysis itself is sound.
_BESIDE = ("exposition", "events", "garbage")
ANALYSES = ("correlation", "history", "records", *VERDICTS, "checklist", "advice", *_BESIDE)
"""Parts whose faults are counted separately."""
# Seconds from one analysis to the next: with changes, and without (then time has passed).
_MIN_PERIOD = 0.2
_IDLE_PERIOD = 1.0
# A pause is this many times as long as the CPU time of the analysis before it: 2 % of a core. It
# need not be longer than the usual interval of polls, unless analyses took more than 4 % then.
_PAUSES, _MIN_PAUSES = 50.0, 25.0
_LONG_PERIOD = 5.0


OLD_SECONDS = 60.0
"""An analysis of this age is late, also with many targets on a busy machine."""


# Compared by identity: it is large.
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Analysis:
    """The records of one moment, and the findings. Replaced as a whole."""

    fleet: FleetView = field(default_factory=FleetView)
    findings: tuple[Finding, ...] = ()
    """The worst first."""
    checks: tuple[Check, ...] = ()
    advice: Advice = field(default_factory=Advice)
    """How large the pools should be."""
    failed: bool = False
    """Whether a part of it failed: then missing findings are unknown, not fine."""
    made: float | None = None
    """When, in seconds since the epoch."""

    def outdated(self) -> Analysis:
        """The same where the next one should have replaced it: what was fine then is unknown."""
        return replace(
            self, checks=tuple(_no_longer_fine(one, "of then, not of now") for one in self.checks)
        )


class Analyzer:
    """Keeps `analysis` up to date with the targets in `store`.

    `config` has the applications and the thresholds; `clock` is the one that the states' times are
    on. Either its thread updates it (`start`, `stop`), or each call of `update`.
    """

    def __init__(
        self,
        store: Store,
        config: Config,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.exporter = ExporterStatus()
        """The exporter's own state; replaced by the code that runs it."""
        self.faults = Faults(ANALYSES)
        self.version = 0
        """Changes with each new `analysis`, after it."""
        self._changes = store.subscribe()
        self._clock = clock
        self._config = self._configured = config
        self._thresholds = AllThresholds.of(config)
        self._correlation = Correlation(config.apps)
        self._history = History()
        self._sizes = KeptSizes(clock, self.faults)
        self._leaks = LastingLeaks()
        self._failures = 0  # at the end of the last analysis
        self._incomplete: set[TargetId] = set()
        """Targets whose latest state could not be taken in."""
        self._is_running = False
        self._awake = AwakeClock(clock)
        self._analysed_at = self._awake.now
        # A separate lane: scrapes and analyses do not wait for each other.
        self._lane = Lane("analysis")
        self.analysis = self.update()

    def configure(self, config: Config) -> None:
        """Go on with the applications and thresholds of this configuration."""
        self._config = config
        self._thresholds = AllThresholds.of(config)

    def update(self) -> Analysis:
        """Take in all changes, and analyse."""
        with suppress(Empty):
            while True:
                self._follow(self._changes.get_nowait())
        self.analysis = self._analysed()
        self.version += 1
        self._analysed_at = self._awake.now
        return self.analysis

    def tick(self) -> None:
        """Count time: to be called every second or so by another thread than the analyses'."""
        self._awake.tick()

    @property
    def lateness(self) -> float | None:
        """Age of `analysis` in seconds where the next one should have replaced it; None where not.

        Without the time in which the process was stopped.
        """
        age = self._awake.now - self._analysed_at
        return age if age >= OLD_SECONDS else None

    def start(self) -> None:
        """Update in a thread from now on."""
        self._is_running = True
        self._lane.begin(self._run)

    def stop(self) -> None:
        """End the thread, at the latest after its present work."""
        self._is_running = False

    def _run(self) -> None:
        while self._is_running:
            # CPU time: on a busy machine an analysis that waits for its turn costs nothing, and
            # the pause after it would be minutes.
            begun = time.thread_time()
            with self.faults.contained("records"):
                self.update()
            pause = pause_after(time.thread_time() - begun)
            ended = time.monotonic()
            self._take_in(until=ended + max(_IDLE_PERIOD, pause), with_changes=ended + pause)

    def _take_in(self, *, until: float, with_changes: float) -> None:
        """Take in changes until one of these times."""
        while self._is_running and (left := until - time.monotonic()) > 0:
            with suppress(Empty):
                self._follow(self._changes.get(timeout=left))
                until = with_changes

    def _follow(self, change: Change) -> None:
        before = self._count_failures()
        with self.faults.contained("correlation"):
            # Read once: another thread may replace it at any moment.
            config = self._config
            if config is not self._configured:
                self._correlation.configure(config.apps)
                self._configured = config
            self._correlation.follow(change)
        with self.faults.contained("history"):
            self._history.follow(change)
        if self._count_failures() > before and change.state is not None:
            self._incomplete.add(change.key)
        else:
            self._incomplete.discard(change.key)

    def _count_failures(self) -> int:
        """Faults of the parts that an analysis is made of."""
        counts = self.faults.counts
        return sum(count for name, count in counts.items() if name not in _BESIDE)

    def _analysed(self) -> Analysis:
        now, made, thresholds = self._clock(), time.time(), self._thresholds
        judged = Judged(FleetView(thresholds=thresholds), ())
        with self.faults.contained("records"):
            fleet = fleet_view(
                self._correlation, self._history, self._leaks, thresholds, self.exporter, now,
                self.faults,
            )  # fmt: skip
            judged = judge(fleet, self.faults)
        checks = checklist(judged, self.faults)
        sizes = Advice()
        with self.faults.contained("advice"):
            cores = {server.name: server.cores for server in self._config.servers}
            its = judged.fleet
            sizes = advice(its.pools, its.servers, cores, its.bouncers, self._sizes)
        before, self._failures = self._failures, self._count_failures()
        failed = self._failures > before or bool(self._incomplete)
        if failed:
            checks = tuple(_no_longer_fine(one, "an analysis failed") for one in checks)
        return Analysis(
            fleet=judged.fleet,
            findings=judged.findings,
            checks=checks,
            advice=sizes,
            failed=failed,
            made=made,
        )


def pause_after(seconds: float) -> float:
    """Seconds from the end of an analysis that took so much CPU time to the next one."""
    pause = min(_PAUSES * seconds, _LONG_PERIOD)
    return max(pause, _MIN_PAUSES * seconds, _MIN_PERIOD)


def _no_longer_fine(check: Check, why: str) -> Check:
    """The failed part may have had a finding."""
    if check.verdict is not Verdict.FINE:
        return check
    return replace(check, verdict=Verdict.UNKNOWN, figure=f"{check.figure}; {why}")
