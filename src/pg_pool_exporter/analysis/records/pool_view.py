"""One record for each pool, the source of everything that is shown about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pg_pool_exporter.aggregate import added
from pg_pool_exporter.analysis.findings.finding import PoolVerdict, Subject
from pg_pool_exporter.analysis.history.demand import DemandDay
from pg_pool_exporter.analysis.history.minutes import LastHour, total
from pg_pool_exporter.analysis.history.pool_history import Arrival, PoolHistory, Recent
from pg_pool_exporter.analysis.records.app_view import AppView
from pg_pool_exporter.analysis.records.pool_leak import PoolLeak, pool_leak
from pg_pool_exporter.config import PoolThresholds
from pg_pool_exporter.model import PoolSample
from pg_pool_exporter.model.pools import CLOSED


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessView:
    """One process's pool at its last reading, and in the last minutes."""

    sample: PoolSample
    recent: Recent | None
    arrival: Arrival | None
    """None for an old pool, or where its process just started."""
    waits: bool
    """Whether requests waited at both of the last two readings."""
    active_by_minute: Sequence[float]
    """Mean of the connections checked out in each minute of the last hour, the latest last; NaN: a
    minute without a reading."""
    seconds_to_saturation: float | None
    """At the pace at which it fills; 0 while it is saturated; None where it does not fill, or that
    is unknown."""
    thresholds: PoolThresholds

    @property
    def utilisation(self) -> float | None:
        """Share of the maximum that is checked out, or lost inside the library; None without a
        maximum.
        """
        sample = self.sample
        if not sample.max or sample.active is None:
            return None
        return (sample.active + (sample.unaccounted or 0.0)) / sample.max

    @property
    def is_starved(self) -> bool:
        """Whether it is saturated and requests wait, not only for a moment."""
        return self.waits and (self.utilisation or 0.0) >= 1

    @property
    def requests_wait(self) -> bool:
        """Whether requests wait, not only for a moment: now, or on average of the last minutes."""
        if self.recent is None or self.is_starved:
            return self.waits
        now, least = self.sample.waiting, self.thresholds.pool_waiting
        return (self.recent.waiting or 0.0) >= least and (now is None or now >= least)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolView:
    """A pool of an application: those of all its processes that have the same name and lead to the
    same server.
    """

    subject: Subject
    """Its application, its name, and its server where known."""
    processes: tuple[ProcessView, ...]
    app_on_server: AppView | None
    """Its application on the server that it leads to, where known."""
    leak_after: float
    client: str
    """The pool library, where known."""
    framework: str
    """The framework of its processes, where known."""
    active: float | None
    """Sums over the processes that report it; None where none does."""
    idle: float | None
    waiting: float | None
    max: float | None
    """Sum of the maxima, without closed and collected pools; None when one of them is unknown, or
    there is none.
    """
    unaccounted: float | None
    """Connections that the library counts, and that do not exist."""
    fullest: ProcessView
    """The process whose pool has the highest utilisation; without maxima, the most active one."""
    dropped_by_site: Mapping[str, float]
    """Slots lost by dropping; the most first."""
    overdue_by_site: Mapping[str, float]
    """The most first."""
    reports_dropped: bool
    """Whether a process counts the slots lost by dropping a connection."""
    reports_overdue: bool
    """Whether a process counts its overdue checkouts."""
    all_report_overdue: bool
    """Whether all of them do, as with our client, without closed and collected pools."""
    leak: PoolLeak
    active_by_minute: Sequence[float]
    """Of the last hour, all processes together, the latest minute last; NaN: not all of them were
    seen in that minute."""
    seconds_to_saturation: float | None
    """Of the first process to be saturated."""
    failed: float
    """Requests that got no connection in the last minutes."""
    watched: float
    """Seconds of these minutes; 0 before the first is over."""
    demand: DemandDay | None = None
    """What the last day shows of how many connections were asked for."""
    bouncers: tuple[str, ...] = ()
    """Those that it connects to; several where they share its connections."""
    verdict: PoolVerdict = field(default=PoolVerdict())

    @property
    def app(self) -> str:
        """The application's name."""
        return self.subject.app

    @property
    def pool(self) -> str:
        """The pool's name."""
        return self.subject.pool

    @property
    def live(self) -> list[PoolSample]:
        """What its processes show, without the totals of former pools where there are others."""
        return _live([each.sample for each in self.processes])

    @property
    def thresholds(self) -> PoolThresholds:
        """The numbers that it is judged by."""
        return self.processes[0].thresholds

    @property
    def name(self) -> str:
        """For people: `app/pool`."""
        return f"{self.app}/{self.pool}"

    @property
    def utilisation(self) -> float | None:
        """Of the fullest process; None without a maximum."""
        return self.fullest.utilisation

    @property
    def requests_wait(self) -> bool:
        """Whether requests of a process wait, not only for a moment."""
        return any(each.requests_wait for each in self.processes)

    @property
    def is_starved(self) -> bool:
        """Whether requests suffer: they wait at a saturated process, or got no connection in the
        last minutes.
        """
        return bool(self.failed) or any(each.is_starved for each in self.processes)

    @property
    def waited_for_lock(self) -> bool:
        """Whether a session of its application waited for a lock, in the last minutes, for as long
        as a checkout that is long.
        """
        app = self.app_on_server
        return app is not None and app.longest_lock_wait >= self.thresholds.long_checkout

    @property
    def waited_at_bouncer(self) -> bool:
        """Whether a client of its application waited at a bouncer, likewise."""
        app = self.app_on_server
        return app is not None and app.longest_bouncer_wait >= self.thresholds.long_checkout

    @property
    def overdue(self) -> float:
        """Checkouts over the leak threshold."""
        return self.leak.overdue

    @property
    def app_subjects(self) -> Iterator[Subject]:
        """The subject of findings about all of its application on its server: its sessions may have
        other names than the application.
        """
        infos = (each.sample.info for each in self.processes)
        names = {self.app, *(info.application for info in infos if info and info.application)}
        at = self.subject
        return (Subject(app=name, server=at.server, bouncer=at.bouncer) for name in sorted(names))


def process_view(
    sample: PoolSample, history: PoolHistory, thresholds: PoolThresholds, now: float
) -> ProcessView:
    """The record of one process's pool at `now` (monotonic)."""
    hour = history.last_hour(now)
    return ProcessView(
        sample=sample,
        recent=history.recent(hour),
        arrival=history.arrival(now),
        waits=history.lasting_waiting >= thresholds.pool_waiting,
        active_by_minute=hour.active,
        seconds_to_saturation=_time_left(sample, history, hour, now),
        thresholds=thresholds,
    )


def _time_left(
    sample: PoolSample, history: PoolHistory, hour: LastHour, now: float
) -> float | None:
    if not sample.max:
        return None
    usable = sample.max - (sample.unaccounted or 0.0)
    if sample.active is not None and sample.active >= usable:
        return 0.0
    return history.seconds_to(usable, hour, now)


def pool_view(
    processes: tuple[ProcessView, ...],
    app_on_server: AppView | None,
    leak_after: float,
    demand: DemandDay | None = None,
    bouncers: tuple[str, ...] = (),
) -> PoolView:
    """The record of a pool; there is at least one process."""
    samples = [each.sample for each in processes]
    key = samples[0].key
    fullest = max(processes, key=lambda each: (each.utilisation or 0.0, each.sample.active or 0.0))
    live = _live(samples)
    maxima = [one.max for one in live]
    dropped = _by_site(one.leaked_slots for one in samples)
    overdue = _by_site(one.overdue for one in samples)
    active = _sum(one.active for one in samples)
    recents = [each.recent for each in processes if each.recent is not None]
    times = [t for each in processes if (t := each.seconds_to_saturation) is not None]
    return PoolView(
        subject=Subject(
            app=key.app,
            pool=key.pool,
            server=app_on_server.key.server if app_on_server else "",
            bouncer=app_on_server.key.bouncer if app_on_server else "",
        ),
        processes=processes,
        app_on_server=app_on_server,
        leak_after=leak_after,
        client=next((one.info.client for one in samples if one.info), ""),
        framework=next((one.info.framework for one in samples if one.info), ""),
        active=active,
        idle=_sum(one.idle for one in samples),
        waiting=_sum(one.waiting for one in samples),
        max=None if None in maxima else sum(filter(None, maxima)),
        unaccounted=_sum(one.unaccounted for one in samples),
        fullest=fullest,
        dropped_by_site=dropped,
        overdue_by_site=overdue,
        reports_dropped=any(one.leaked is not None or one.leaked_slots for one in samples),
        reports_overdue=any(one.leak_after is not None for one in samples),
        all_report_overdue=all(one.leak_after is not None for one in live),
        leak=pool_leak(
            app_on_server,
            min(fullest.thresholds.long_statement, leak_after / 2),
            leak_after,
            active or 0.0,
            sum(dropped.values()),
            sum(overdue.values()),
            [one.key for one in samples],
        ),
        active_by_minute=total(each.active_by_minute for each in processes),
        seconds_to_saturation=min(times, default=None),
        failed=sum(one.failed for one in recents),
        watched=max((one.seconds for one in recents), default=0.0),
        demand=demand,
        bouncers=bouncers,
    )


def _live(samples: list[PoolSample]) -> list[PoolSample]:
    """Without the totals of former pools, where there are others."""
    return [one for one in samples if one.info is None or one.info.source != CLOSED] or samples


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _by_site(counts: Iterator[Mapping[str, float]]) -> Mapping[str, float]:
    sites = added(counts)
    return dict(sorted(sites.items(), key=lambda item: -item[1])) if len(sites) > 1 else sites
