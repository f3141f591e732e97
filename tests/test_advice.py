"""How large pools should be: by their demand, by their server's room, and when not to enlarge."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Any

import pytest

from pg_pool_exporter.analysis.advice.advice import Advice, Direction, PoolAdvice, advice
from pg_pool_exporter.analysis.advice.erlang import saturated_share, waiting_share
from pg_pool_exporter.analysis.advice.kept import KeptSizes
from pg_pool_exporter.analysis.advice.sizes import sizes
from pg_pool_exporter.analysis.advice.wording import of_server, sentences, title
from pg_pool_exporter.analysis.faults import Faults
from pg_pool_exporter.analysis.findings.finding import (
    Cause,
    Finding,
    PoolVerdict,
    Severity,
    Subject,
)
from pg_pool_exporter.analysis.history.demand import DemandDay, DemandHour, DemandLog, ProcessDemand
from pg_pool_exporter.analysis.records.pool_view import PoolView, ProcessView, pool_view
from pg_pool_exporter.analysis.records.server_view import ServerView, server_view
from pg_pool_exporter.analysis.thresholds import AllThresholds
from pg_pool_exporter.config import Thresholds
from pg_pool_exporter.metrics.catalogue import DEMAND_BOUNDS
from pg_pool_exporter.model import (
    BouncerDatabase,
    BouncerUser,
    Histogram,
    PoolId,
    PoolInfo,
    PoolSample,
    ServerSample,
)
from pg_pool_exporter.web.page.sizes import sizes_section
from support.both_sides import INFO, SETTINGS, BothSides
from support.queueing import WORKLOADS, Workload, about, bursts, poisson, run

BY_NAME = {work.name: work for work in WORKLOADS}
_BUCKETS = len(DEMAND_BOUNDS) + 1


def hour(*levels: float, size: float = 10, **changed: Any) -> DemandHour:
    """An hour with these seconds at a demand of at most 1, of 2, and so on."""
    seconds = sum(levels)
    demand = sum(level * each for level, each in enumerate(levels, start=1))
    made = DemandHour(
        begun=0.0, seconds=seconds, levels=[*levels, *[0.0] * (_BUCKETS - len(levels))],
        demand_seconds=demand, active_seconds=demand, acquired=seconds * 10, held=demand,
        returned=seconds * 10, size=size,
    )  # fmt: skip
    return replace(made, **changed)


def day(busiest: DemandHour, watched: float = 86400.0, highest: float = 6.0) -> DemandDay:
    return DemandDay(watched=watched, busiest=busiest, highest=highest)


BUSY = hour(1000, 1000, 1000, 565, 32, 3)
"""Over 4 for 35 s, over 5 for 3 s."""


def pool(
    demand: DemandDay | None, *, size: float | None = 10, processes: int = 1, name: str = "main",
    causes: tuple[Cause, ...] = (), server: str = "main",
) -> PoolView:  # fmt: skip
    samples = [
        PoolSample(key=PoolId("orders", name, f"web:{number}"), max=size, active=1, idle=1,
                   info=PoolInfo(source="instrumented"))
        for number in range(processes)
    ]  # fmt: skip
    views = tuple(
        ProcessView(
            sample=one, recent=None, arrival=None, waits=False, active_by_minute=(),
            seconds_to_saturation=None, thresholds=Thresholds(),
        )
        for one in samples
    )  # fmt: skip
    made = pool_view(views, None, 60.0, demand)
    subject = Subject(app="orders", pool=name, server=server)
    found = tuple(
        Finding(cause=cause, severity=Severity.PROBLEM, subject=subject, summary="")
        for cause in causes
    )
    return replace(made, subject=subject, verdict=PoolVerdict(own=found))


def main_server(slots: int = 100) -> ServerView:
    settings = replace(SETTINGS, max_connections=slots, reserved_connections=0)
    sample = ServerSample(
        host="db", port="5432", used=1, groups={}, databases={}, settings=settings
    )
    return server_view("main", sample, AllThresholds(), None, {})


def one(made: Advice) -> PoolAdvice:
    assert len(made.pools) == 1
    return made.pools[0]


@pytest.mark.parametrize(
    ("levels", "for_shares"),
    [
        ((3600,), (2, 2)),
        ((3000, 580, 20), (3, 4)),
        ((1000, 1000, 1000, 565, 33, 2), (5, 6)),
        # Between the bounds 6 and 8 the demand falls by equal ratios.
        ((1000, 1000, 1000, 300, 100, 150, 49, 1), (8, 9)),
    ],
)
def test_a_size_leaves_a_connection_free_for_its_share_of_the_time(
    levels: tuple[float, ...], for_shares: tuple[int, int]
) -> None:
    found = sizes(hour(*levels, size=20), wait=0.1)
    assert found is not None
    assert found.for_shares == for_shares
    assert not found.at_least


def test_a_second_that_is_missing_in_a_bucket_changes_no_size() -> None:
    short = hour(1000, 1000, 1000, 300, 100, 150, -2, 1, size=20)
    found = sizes(short, wait=0.1)
    assert found is not None
    assert found.for_shares == (7, 7)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (300, "Measured for 5 min: 10 min of an hour are needed."),
        (0, "Its metrics page does not show the connections in use."),
    ],
)
def test_ten_minutes_are_needed(seconds: int, words: str) -> None:
    assert sizes(hour(599), wait=0.1) is None
    made = one(advice([pool(day(hour(seconds), watched=20_000))], [], {}))
    assert made.direction is Direction.UNKNOWN
    assert list(sentences(made)) == [words]


def test_a_pool_without_a_maximum_needs_more_than_the_largest_level() -> None:
    beyond = replace(
        hour(1800, size=0), levels=[*[0.0] * (_BUCKETS - 1), 1800.0], demand_seconds=1800 * 300.0
    )
    made = one(advice([pool(day(beyond, highest=inf), size=None)], [], {}))
    assert made.needed is not None
    assert (made.needed.for_shares, made.needed.at_least) == ((201, 201), True)
    said = list(sentences(made))
    assert "at least 201 connections" in said[0]
    assert said[-1] == "The demand was over the largest level that is measured."
    within = one(advice([pool(day(replace(beyond, size=500), highest=inf), size=500)], [], {}))
    assert (within.recommended, within.direction) == (500, Direction.KEEP)


def test_erlang_agrees_with_the_tables() -> None:
    # A load of 4 for 6 and for 10 connections; 0.5 for 1.
    for share in (saturated_share, waiting_share):  # requests at random meet what there is
        assert share(6, 4, 1) == pytest.approx(0.2848, abs=1e-4)
        assert share(10, 4, 1) == pytest.approx(0.0088, abs=1e-4)
        assert share(1, 0.5, 1) == pytest.approx(0.5)
        assert share(4, 4, 1) == 1


def test_erlang_agrees_with_its_recurrence_for_thousands_of_connections() -> None:
    size, load, blocked = 4100, 4000.0, 1.0
    for each in range(1, size + 1):
        blocked = load * blocked / (each + load * blocked)
    waits = blocked / (1 - load / size * (1 - blocked))
    assert saturated_share(size, load, 1) == pytest.approx(waits, rel=1e-6)


def test_a_steady_demand_needs_no_more_than_it_ever_has() -> None:
    # Variance a tenth of the mean: as of six, each of which is checked out nine tenths of the time.
    assert saturated_share(7, 5.4, 0.1) == 0
    assert saturated_share(6, 5.4, 0.1) > 0.3


@pytest.mark.parametrize("name", ["Poisson, roomy", "Poisson, tight"])
def test_the_advised_size_keeps_its_promise(name: str) -> None:
    """Within a fifth of 1 %, and twice 0.1 %, of which an hour shows less: one connection too
    few exceeds both. bench.sizing does it for all kinds of workloads, with more random numbers.
    """
    work = BY_NAME[name]
    needed = sizes(run(work, work.size, seed=1).day.busiest, wait=0.1)
    assert needed is not None
    assert needed.for_wait is not None
    nearly, most = needed.for_shares
    assert run(work, nearly, seed=2).saturated <= 0.012
    assert run(work, nearly - 1, seed=2).saturated > 0.012
    assert run(work, most, seed=2).saturated <= 0.002
    assert run(work, most - 1, seed=2).saturated > 0.002
    assert run(work, needed.for_wait, seed=2, wait=0.1).late <= 0.012


def test_a_request_in_a_burst_waits_for_those_before_it_in_the_burst() -> None:
    work = BY_NAME["bursts, roomy"]
    needed = sizes(run(work, work.size, seed=1).day.busiest, wait=0.1)
    assert needed is not None
    assert needed.for_wait is not None
    assert 0.008 < run(work, needed.for_wait, seed=2, wait=0.1).late < 0.013
    assert needed.waiting_in_bursts is None  # of the requests less than 1 % wait


def test_the_advice_says_how_many_of_large_bursts_wait() -> None:
    work = Workload("large bursts", bursts(10, 20), about(0.3), 150)
    needed = sizes(run(work, work.size, seed=1).day.busiest, wait=0.1)
    assert needed is not None
    met = run(work, needed.for_shares[-1], seed=3)
    assert needed.waiting_in_bursts == pytest.approx(met.waited, rel=0.5)
    assert met.waited > 5 * met.saturated


@pytest.mark.parametrize(("size", "stall"), [(50, 7.0), (20, 10.0), (200, 7.0)])
def test_one_stall_in_the_hour_is_no_burst(size: int, stall: float) -> None:
    work = Workload("stall", poisson(40), about(0.02), size, stall=(1000.0, 1000.0 + stall))
    seen = run(work, size, seed=1).day.busiest
    for counted in (seen, replace(seen, queued=None)):
        needed = sizes(counted, wait=0.1)
        assert needed is not None
        assert (needed.for_wait, needed.waiting_in_bursts) == (5, None)
    assert run(work, 5, seed=2, wait=0.1).late < 0.01


def test_requests_that_have_waited_bound_those_that_will_at_a_larger_size() -> None:
    work = Workload("stall", poisson(40), about(0.02), 20, stall=(1000.0, 1040.0))
    met = run(work, 20, seed=1)
    needed = sizes(met.day.busiest, wait=0.1)
    assert needed is not None
    assert needed.for_shares[-1] > 20
    assert needed.waiting_in_bursts == pytest.approx(met.waited, rel=0.1)


def test_a_demand_that_is_high_for_half_of_the_hour_is_no_burst() -> None:
    halves = [0.0, 1800.0, *[0.0] * 10, 1790.0, 10.0]  # at most 2, and at most 30 or 40
    demand = 1800.0 * 32
    seen = hour(*halves, size=60, demand_seconds=demand, active_seconds=demand)
    made = one(advice([pool(day(seen), size=60)], [], {}))
    assert made.needed is not None
    assert made.needed.for_wait is not None
    assert made.needed.for_wait <= made.needed.for_shares[-1] <= 40
    assert "bursts" not in " ".join(sentences(made))


@pytest.mark.parametrize("peak", [0.1, 1.0, 4.0, 90.0])
def test_a_larger_pool_is_saturated_for_less_of_the_time(peak: float) -> None:
    for load in (0.3, 3.0, 150.0):
        shares = [saturated_share(size, load, peak) for size in range(1, 300)]
        assert shares == sorted(shares, reverse=True)
        assert min(shares) >= 0
        assert max(shares) <= 1


def test_a_saturated_pool_needs_at_least_what_was_seen() -> None:
    base = BY_NAME["Poisson, tight"]
    work = Workload("overload", base.arrivals, base.hold, 4)
    needed = sizes(run(work, 4, seed=1).day.busiest, wait=0.1)
    assert needed is not None
    assert needed.at_least
    assert needed.for_shares[0] > 4
    assert (needed.for_wait, needed.waiting_in_bursts) == (None, None), (
        "nothing tells how they come"
    )


@pytest.mark.parametrize(
    ("size", "causes", "direction", "recommended", "words"),
    [
        (4, (), Direction.ENLARGE, 6, "enlarge to 6"),
        (6, (), Direction.KEEP, 6, "keep"),
        (10, (), Direction.KEEP, 6, "keep"),
        (50, (), Direction.REDUCE, 6, "reduce to 6"),
        (4, (Cause.LEAK,), Direction.FIX_FIRST, 4, "fix the cause first"),
        (4, (Cause.LONG_CHECKOUTS,), Direction.FIX_FIRST, 4, "fix the cause first"),
        (4, (Cause.LOCK_PILE_UP,), Direction.FIX_FIRST, 4, "fix the cause first"),
        (50, (Cause.LEAK,), Direction.FIX_FIRST, 50, "fix the cause first"),
        (50, (Cause.IDLE_IN_TRANSACTION,), Direction.FIX_FIRST, 50, "fix the cause first"),
        (50, (Cause.POOL_TOO_SMALL,), Direction.REDUCE, 6, "reduce to 6"),
        (4, (Cause.POOL_TOO_SMALL,), Direction.ENLARGE, 6, "enlarge to 6"),
        (None, (), Direction.KEEP, 6, "keep"),
    ],
)
def test_what_to_do(
    size: float | None,
    causes: tuple[Cause, ...],
    direction: Direction,
    recommended: int,
    words: str,
) -> None:
    # Seen where the pool was large enough.
    made = one(advice([pool(day(replace(BUSY, size=50)), size=size, causes=causes)], [], {}))
    assert (made.direction, made.recommended, title(made)) == (direction, recommended, words)


def test_all_pools_of_a_server_share_its_slots() -> None:
    wide = day(replace(BUSY, size=50))
    pools = [pool(wide, size=4, processes=8), pool(wide, size=4, processes=8, name="reports")]
    assert [each.recommended for each in advice(pools, [main_server(100)], {}).pools] == [6, 6]
    made = advice(pools, [main_server(60)], {})
    assert [(each.recommended, each.bounded_by) for each in made.pools] == [(4, "server")] * 2
    assert {each.direction for each in made.pools} == {Direction.NO_ROOM}
    assert of_server(made.servers[0]) == (
        "The pools may open an unknown number of 60 slots; they need 96 and should have 64."
    )
    made = advice(pools, [main_server(80)], {})
    assert [(each.recommended, each.direction) for each in made.pools] == [
        (5, Direction.ENLARGE)
    ] * 2


def test_a_pool_that_fits_gives_nothing_up_for_another() -> None:
    wide = day(replace(BUSY, size=50))
    pools = [pool(wide, size=6), pool(wide, size=4, processes=9, name="reports")]
    made = advice(pools, [main_server(20)], {})
    assert [(each.recommended, each.direction) for each in made.pools] == [
        (4, Direction.NO_ROOM),
        (6, Direction.KEEP),
    ]


def test_a_pool_that_is_not_to_grow_leaves_the_room_to_others() -> None:
    wide = day(replace(BUSY, size=50))
    pools = [
        pool(wide, size=4, processes=8, causes=(Cause.LEAK,)),
        pool(wide, size=4, processes=8, name="reports"),
    ]
    made = advice(pools, [main_server(80)], {})
    assert [(each.recommended, each.direction) for each in made.pools] == [
        (6, Direction.ENLARGE),
        (4, Direction.FIX_FIRST),
    ]
    server = made.servers[0]
    assert (server.needed, server.recommended) == (96, 80)


def test_the_page_counts_the_sizes_that_should_change() -> None:
    wide = day(replace(BUSY, size=50))
    pools = [
        pool(wide, size=4), pool(wide, size=6, name="fits"),
        pool(wide, size=4, name="leaks", causes=(Cause.LEAK,)),
    ]  # fmt: skip
    assert "1 pool of 3 should change" in str(sizes_section(advice(pools, [], {})))


def test_a_fault_costs_one_pool_and_sizes_are_kept_while_they_are_new() -> None:
    now, faults, broken = 0.0, Faults(["advice"]), replace(BUSY, size=inf)
    sizes_of = KeptSizes(lambda: now, faults)
    subject, other = Subject(app="orders", pool="main"), Subject(app="orders", pool="other")
    first = sizes_of(subject, BUSY, 0.1)
    assert first is not None
    assert sizes_of(other, broken, 0.1) is None
    assert faults.counts == {"advice": 1}
    longer = replace(BUSY, size=4, saturated_seconds=1800.0, queued=18_000.0)
    assert sizes_of(subject, longer, 0.1) is first
    assert sizes_of(subject, longer, 0.2) is not first
    now = 60.0
    assert sizes_of(subject, longer, 0.1) == sizes(longer, 0.1) != first


def test_a_pool_of_unknown_demand_keeps_what_it_has() -> None:
    wide = day(replace(BUSY, size=50))
    pools = [pool(wide, size=4, processes=4), pool(None, size=50, name="other")]
    made = advice(pools, [main_server(70)], {})
    assert one(made).recommended == 5
    assert (made.servers[0].needed, made.servers[0].recommended) == (74, 70)
    assert of_server(made.servers[0]).endswith(
        "they need 74 and should have 70. Included with their maximum: 1 pool of unknown demand."
    )
    made = advice([*pools, pool(None, size=None, name="free")], [main_server(70)], {})
    assert (made.servers[0].needed, made.servers[0].recommended) == (74, 70)
    assert of_server(made.servers[0]).endswith(
        "Included with their maximum: 1 pool of unknown demand. "
        "Not included: 1 pool without a maximum."
    )
    nothing = advice([pool(None, size=50)], [main_server(70)], {})
    assert of_server(nothing.servers[0]).endswith("what they need is not known yet.")


def test_more_connections_than_the_cores_can_work_on_are_not_recommended() -> None:
    wide = day(replace(BUSY, size=50))
    made = advice([pool(wide, size=4, processes=4)], [main_server(100)], {"main": 4})
    assert (one(made).recommended, one(made).bounded_by) == (4, "cores")
    assert made.servers[0].working == 9
    assert "more than the server's cores can work on at once" in " ".join(sentences(one(made)))


def bounded_by_a_bouncer(**shown: Any) -> tuple[int | None, str]:
    both = BothSides()
    both.pool(1, 1, info=replace(INFO, port="6432"))
    both.bouncer(0, active=0, **{"reserve_size": 0, **shown})
    (seen,) = both.analysis.fleet.pools
    assert seen.bouncers == ("edge",)
    through = replace(
        pool(day(replace(BUSY, size=50)), size=4, processes=4, server=""),
        processes=tuple(
            replace(one, sample=replace(one.sample, info=seen.live[0].info))
            for one in pool(None, size=4, processes=4).processes
        ),
        bouncers=seen.bouncers,
    )
    made = one(advice([through], [], {}, both.analysis.fleet.bouncers))
    words = " ".join(sentences(made))
    assert ("than the bouncer accepts" in words) == (made.bounded_by == "bouncer")
    return made.recommended, title(made)


DATABASE_16 = {"databases": {"shop": BouncerDatabase(max_connections=16)}}
USER_16 = {"users": {"orders": BouncerUser(max_connections=16)}}


@pytest.mark.parametrize(
    ("shown", "advised"),
    [
        ({"max_clients": 100}, (6, "enlarge to 6")),
        ({"max_clients": 20}, (5, "enlarge to 5")),
        ({"max_clients": 17}, (4, "no room on the bouncer")),
        ({"max_clients": None}, (6, "enlarge to 6")),
        ({"max_clients": 100, "mode": "session", "size": 16}, (4, "no room on the bouncer")),
        ({"max_clients": 100, "mode": "transaction", "size": 16}, (6, "enlarge to 6")),
        ({"max_clients": 100, "mode": "session", "size": None}, (6, "enlarge to 6")),
        ({"mode": "session", "size": 50, **DATABASE_16}, (4, "no room on the bouncer")),
        ({"mode": "session", "size": 50, **USER_16}, (4, "no room on the bouncer")),
        ({"mode": "transaction", **DATABASE_16}, (6, "enlarge to 6")),
        ({"databases": {"shop": BouncerDatabase(max_clients=16)}}, (4, "no room on the bouncer")),
        ({"users": {"orders": BouncerUser(max_clients=16)}}, (4, "no room on the bouncer")),
        ({"users": {"other": BouncerUser(max_clients=16)}}, (6, "enlarge to 6")),
    ],
)
def test_a_bouncer_bounds_the_pools_that_connect_to_it(
    shown: dict[str, Any], advised: tuple[int, str]
) -> None:
    assert bounded_by_a_bouncer(**shown) == advised


def test_a_bouncer_bounds_no_pool_whose_processes_connect_to_different_ones() -> None:
    both = BothSides()
    both.bouncer(0, active=0)
    both.pool(1, 1, process="web:0", info=replace(INFO, port="6432"))
    assert [one.bouncers for one in both.analysis.fleet.pools] == [("edge",)]
    both.pool(1, 1, process="web:1", info=INFO)
    assert [one.bouncers for one in both.analysis.fleet.pools] == [()]


_NEEDS = (
    "It needs 6 connections in each of 3 processes to have a free one for 99.9 % of its busiest "
    "hour, 5 for 99 %; 2.3 were in demand on average."
)


def test_reasons_name_figures_and_limits() -> None:
    short = replace(BUSY, size=50, estimated=True)
    made = one(advice([pool(day(short, watched=7200.0), size=50, processes=3)], [], {}))
    assert list(sentences(made)) == [
        _NEEDS,
        "With 4, 99 % of the requests wait less than 100 ms.",
        "44 of 50 were never needed in 2.0 h.",
        "Estimated from readings, which miss peaks between them.",
        "Watched for 2.0 h of the last 24 h.",
    ]


def reading(now: float, **fields: Any) -> PoolSample:
    return PoolSample(key=PoolId("orders", "main", "web:0"), max=5, **fields)


def test_the_busiest_hour_of_the_last_day_counts() -> None:
    log = DemandLog(0.0)
    # A quiet hour, a busy one, and quiet ones after it.
    for number, level in enumerate([1, 4, 2, 1]):
        for minute in range(60):
            levels = [0.0] * _BUCKETS
            levels[level - 1] = 60.0
            now = number * 3600.0 + (minute + 1) * 60.0
            log.add(now, DemandHour(begun=now - 60, seconds=60, levels=levels,
                                    demand_seconds=60.0 * level))  # fmt: skip
    found = log.day(4 * 3600.0)
    assert round(found.busiest.demand) == 4
    assert (found.highest, found.watched) == (4.0, 4 * 3600.0)
    for number in range(4, 31):
        for minute in range(60):
            now = number * 3600.0 + (minute + 1) * 60.0
            log.add(now, DemandHour(begun=now - 60, seconds=60, levels=[60.0] + [0.0] * 19,
                                    demand_seconds=60.0))  # fmt: skip
    assert log.day(31 * 3600.0).busiest.demand == pytest.approx(1)
    assert log.day(31 * 3600.0).watched == 86400.0


def test_a_restart_of_the_process_adds_nothing_of_its_own() -> None:
    process = ProcessDemand()
    counts = Histogram((100, *[0] * (_BUCKETS - 1)), 80.0)
    later = Histogram((150, 10, *[0] * (_BUCKETS - 2)), 140.0)
    assert process.take(0.0, reading(0.0, demand=counts, acquired=10), 15.0) is None
    taken = process.take(60.0, reading(60.0, demand=later, acquired=30), 15.0)
    assert taken is not None
    assert (taken.seconds, taken.demand_seconds, taken.acquired) == (60.0, 60.0, 20.0)
    assert not taken.estimated
    assert process.take(120.0, reading(120.0, demand=counts, acquired=1), 15.0) is None
    again = process.take(180.0, reading(180.0, demand=counts, acquired=1), 15.0)
    assert again is not None
    assert again.seconds == 0


def test_a_foreign_page_is_an_estimate_from_its_readings() -> None:
    process = ProcessDemand()
    taken = None
    for number in range(13):
        now = number * 5.0
        taken = taken or process.take(
            now, reading(now, active=5 if number % 2 else 1, waiting=1 if number % 2 else 0), 15.0
        )
    assert taken is not None
    assert taken.estimated
    assert taken.seconds == pytest.approx(30.0)
    assert taken.levels[0] == pytest.approx(15.0)
    assert taken.levels[5] == pytest.approx(15.0)
    # Nobody knows what was between two readings that are far apart.
    assert process.take(500.0, reading(500.0, active=1), 15.0) is None
