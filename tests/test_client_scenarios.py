"""One table of scenarios for every pool library: the same expected result for all of them, or the
difference that `support.pools.Kind` states. What has happened is counted here, not by the library.
"""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from psycopg2.pool import AbstractConnectionPool
from psycopg_pool import AsyncConnectionPool, ConnectionPool
from sqlalchemy.pool import Pool as SqlalchemyPool, QueuePool

from pg_pool_exporter.client import libraries
from pg_pool_exporter.client.libraries.drivers import timeouts
from pg_pool_exporter.client.libraries.measuring import original
from pg_pool_exporter.metrics import catalogue
from pg_pool_exporter.metrics.series import of_pools
from support.case import CANCELLABLE, Case, Scenario, each_kind, run, source_of, unknown
from support.client import Watched, only_totals, run_app
from support.pools import KINDS, SIZE, Kind, cases
from support.postgres import Cluster
from support.remote_pools import RemotePool

each_python_kind = pytest.mark.parametrize("kind", cases())
async_kinds = cases(kind for kind in KINDS if kind.is_async)
each_async_kind = pytest.mark.parametrize("kind", async_kinds)
each_cancellable_kind = pytest.mark.parametrize("kind", [*async_kinds, *CANCELLABLE])


class OopsError(Exception):
    """What an application raises."""


async def _a_block(case: Case) -> None:
    async with case.pool.block() as connection:
        case.acquired += 1
        await case.ask(connection)
    case.returned += 1


async def _by_hand(case: Case) -> None:
    connection = await case.check_out()
    try:
        await case.ask(connection)
    finally:
        await case.check_in(connection)


async def _an_exception_whose_traceback_is_kept(case: Case) -> None:
    kept: list[BaseException] = []
    for error in (OopsError(), OopsError()):
        try:
            async with case.pool.block():
                case.acquired += 1
                raise error
        except OopsError as caught:
            kept.append(caught)
        case.returned += 1


async def _an_error_of_the_server(case: Case) -> None:
    async def fail() -> None:
        async with case.pool.block() as connection:
            case.acquired += 1
            await case.pool.ask(connection, "select 1/0")

    with pytest.raises(Exception, match="division by zero"):
        await fail()
    case.returned += 1


async def _an_early_return(case: Case) -> None:
    async def handler() -> int:
        async with case.pool.block():
            case.acquired += 1
            return 1

    await handler()
    case.returned += 1


async def _all_connections_at_once(case: Case) -> None:
    out = await case.check_out_all()
    for connection in out:
        await case.ask(connection)
    assert case.sample().active == SIZE
    del connection
    await case.return_all(out)


async def _many_times(case: Case) -> None:
    for _ in range(50):
        await _a_block(case)


@each_kind
@pytest.mark.parametrize(
    "use",
    [
        _a_block, _by_hand, _an_exception_whose_traceback_is_kept, _an_error_of_the_server,
        _an_early_return, _all_connections_at_once, _many_times,
    ],
)  # fmt: skip
def test_correct_use_shows_nothing_not_even_with_a_threshold_of_0(
    postgres: Cluster, kind: Kind, use: Scenario
) -> None:
    async def scenario(case: Case) -> None:
        await use(case)
        # A connection may be returned by a thread of the pool's.
        await case.until(lambda: bool(case.sample().idle) is kind.keeps, "it is idle")
        case.check()
        if "oldest_idle" not in unknown(kind):
            assert (case.sample().oldest_idle is not None) is kind.keeps

    run(kind, postgres, scenario)


@each_kind
def test_a_kept_connection_is_overdue_with_its_line_until_it_comes_back(
    postgres: Cluster, kind: Kind
) -> None:
    async def scenario(case: Case) -> None:
        kept = [await case.check_out()]
        sample = case.sample()
        ((site, count),) = sample.overdue.items()
        assert (count, sample.active, sample.leaked or 0) == (1, 1, 0)
        assert source_of(kind, site).endswith(" checked out here")
        assert (sample.oldest_active or 0) > 0
        await case.check_in(kept.pop())
        case.check()

    run(kind, postgres, scenario)


@each_kind
@pytest.mark.filterwarnings("ignore:The garbage collector:sqlalchemy.exc.SAWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore:coroutine 'Transaction.rollback':RuntimeWarning")
def test_a_dropped_connection_is_what_the_library_makes_of_it(
    postgres: Cluster, kind: Kind
) -> None:
    async def scenario(case: Case) -> None:
        connection = await case.check_out()
        await case.ask(connection)
        if isinstance(case.pool, RemotePool):
            case.pool.forget(connection)
        del connection
        await asyncio.sleep(0)
        case.collect()
        sample = case.sample()
        assert sample.active == int(kind.dropped != "returned")
        assert (sample.leaked or 0) == int(kind.dropped == "leaked")
        shown = {
            "leaked": sample.leaked_slots,
            "overdue": sample.overdue,
            "returned": sample.reclaimed,
        }
        ((site, count),) = shown.pop(kind.dropped).items()
        assert count == 1
        assert source_of(kind, site).endswith(" checked out here")
        assert not any(shown.values()), shown
        # The slots that are left are those that the pool really has.
        left = SIZE - int(kind.dropped != "returned")
        out = [await case.check_out() for _ in range(left)]
        if kind.limit:
            assert case.sample().active == SIZE
            with pytest.raises(Exception, match=_FULL):
                await case.pool.check_out()
        for connection in out:
            await case.check_in(connection)

    run(kind, postgres, scenario)


_FULL = "(?i)timeout|timed out|deadline|couldn't get|exhausted|^$"


@each_kind
def test_a_request_that_finds_the_pool_full_is_timed_out_or_refused_and_not_waiting_any_more(
    postgres: Cluster, kind: Kind
) -> None:
    if kind.limit is None:
        return  # it is never full

    async def scenario(case: Case) -> None:
        out = await case.check_out_all()
        for _ in range(3):
            with pytest.raises(Exception, match=_FULL):
                await case.pool.check_out()
            case.refused += 1
        sample = case.sample()
        ends = {"timeout": sample.timeouts.get("pool", 0), "rejected": sample.rejected or 0}
        expected = {"timeout": 0, "rejected": 0, kind.when_full: 3}
        assert ends == {end: expected[end] for end in ends}
        if kind.waits:
            assert (sample.waiting, sample.oldest_waiting, sample.queued) == (0, None, 3)
        assert (sample.saturated_seconds or 0) > 0
        await case.return_all(out)
        case.check()

    run(kind, postgres, scenario)


@each_kind
def test_those_who_wait_are_counted_with_the_age_of_the_first_and_served(
    postgres: Cluster, kind: Kind
) -> None:
    if not kind.waits:
        return  # it has no queue

    async def scenario(case: Case) -> None:
        out = await case.check_out_all()
        unqueued = case.sample().acquire_wait or 0
        tasks: list[asyncio.Task[Any]] = []
        for number in (1, 2):
            tasks.append(asyncio.create_task(case.pool.check_out_when_free()))
            await case.until(lambda n=number: case.sample().waiting == n, "it waits")  # type: ignore[misc]
        await case.until(lambda: (case.sample().oldest_waiting or 0) > 0.05, "it has waited")
        sample = case.sample()
        assert (sample.active, sample.idle, sample.queued) == (SIZE, 0, 2)
        await case.return_all(out)
        out = [await task for task in tasks]
        case.acquired += 2
        tasks.clear()
        sample = case.sample()
        assert (sample.waiting, sample.oldest_waiting, sample.active) == (0, None, SIZE)
        waited = (sample.acquire_wait or 0) - unqueued
        assert waited > 0.05
        if "demand" not in unknown(kind):
            assert sample.demand is not None
            demand, in_use = sample.demand.total, sample.active_seconds or 0
            assert demand == pytest.approx(in_use + waited, abs=0.1)
        await case.return_all(out)
        case.check()

    run(kind, postgres, scenario)


@each_cancellable_kind
def test_a_request_that_is_cancelled_while_it_waits_waits_no_more(
    postgres: Cluster, kind: Kind
) -> None:
    async def scenario(case: Case) -> None:
        out = await case.check_out_all()
        task = asyncio.create_task(case.pool.check_out_when_free())
        await case.until(lambda: case.sample().waiting == 1, "it waits")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        case.refused += 1
        await case.until(lambda: case.sample().waiting == 0, "it does not wait")
        assert case.sample().timeouts["pool"] == 0
        await case.return_all(out)
        case.check()

    run(kind, postgres, scenario)


@each_async_kind
@pytest.mark.parametrize("statement", ["select pg_sleep(0)", "select pg_sleep(60)"])
def test_a_task_that_is_cancelled_while_it_holds_gives_back(
    postgres: Cluster, kind: Kind, statement: str
) -> None:
    async def scenario(case: Case) -> None:
        async def hold() -> None:
            async with case.pool.block() as connection:
                case.acquired += 1
                await case.pool.ask(connection, statement)
                await asyncio.sleep(60)

        task = asyncio.create_task(hold())
        await case.until(lambda: case.sample().active == 1, "it holds")
        await asyncio.sleep(0.05)
        task.cancel()
        # A cancelled statement ends with an error of the server's in some libraries.
        with suppress(asyncio.CancelledError, Exception):
            await task
        case.returned += 1
        await case.until(lambda: case.sample().active == 0, "it has returned it")
        case.check()

    run(kind, postgres, scenario)


@each_kind
def test_a_session_that_dies_while_it_is_out_costs_no_slot(postgres: Cluster, kind: Kind) -> None:
    async def scenario(case: Case) -> None:
        connection = await case.check_out()
        with pytest.raises(Exception, match=r"(?s)."):
            await case.pool.ask(connection, "select pg_terminate_backend(pg_backend_pid())")
        await case.check_in(connection)
        del connection
        await case.until(lambda: case.sample().lost == kind.lost, "it is seen to be lost")
        case.check()
        for _ in range(3):
            await _by_hand(case)
        case.check()

    run(kind, postgres, scenario)


@each_kind
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # its last connections are not closed
def test_closing_the_pool_with_a_connection_out(postgres: Cluster, kind: Kind) -> None:
    """A closed pool is not shown any more. An engine that is disposed of goes on, measured."""

    async def scenario(case: Case) -> None:
        connection = await case.check_out()
        closing = asyncio.create_task(case.pool.close())
        await asyncio.sleep(0.01)
        with suppress(Exception):  # a closed pool may refuse it
            await case.check_in(connection)
        del connection
        await closing
        if not kind.survives_close:
            case.collect()
            assert only_totals(case.watched.registry.samples("host:0"))
            return
        case.check()
        await _by_hand(case)
        await case.pool.close()
        await _all_connections_at_once(case)
        case.check()

    run(kind, postgres, scenario)


@each_python_kind
def test_a_pool_that_goes_away_while_it_is_instrumented_is_gone(
    postgres: Cluster, kind: Kind
) -> None:
    async def main() -> None:
        pool = kind.make(postgres.dsn())
        watched = Watched(pool.own)
        assert len(watched.registry.samples("host:0")) == 1
        del pool
        gc.collect()
        assert watched.registry.samples("host:0") == []
        assert watched.registry.apps() == []

    asyncio.run(main())


@each_python_kind
def test_a_used_pool_goes_away_as_it_would_without_us(postgres: Cluster, kind: Kind) -> None:
    """Not a moment later: what the library itself keeps is kept, and nothing is by us."""
    kept = []

    async def main() -> None:
        for measured in (False, True):
            before = _alive()
            one = kind.make(postgres.dsn())
            watched = Watched(one.own) if measured else None
            await one.open()
            async with one.block():
                pass
            await one.close()
            del one
            await asyncio.sleep(0)
            kept.append(_alive() - before)
            del watched

    asyncio.run(main())
    assert kept[0] == kept[1]


_CLASSES = (
    AbstractConnectionPool, AsyncConnectionPool, ConnectionPool, asyncpg.Pool, SqlalchemyPool,
)  # fmt: skip


def _alive() -> int:
    """How many pools there are, with all garbage collected."""
    gc.collect()
    return sum(issubclass(type(one), _CLASSES) for one in gc.get_objects())


@each_python_kind
def test_uninstrumenting_makes_the_pool_what_it_was_also_with_a_connection_out(
    postgres: Cluster, kind: Kind
) -> None:
    async def scenario(case: Case) -> None:
        plain = kind.make(postgres.dsn())
        await plain.open()
        connection = await case.check_out()
        assert isinstance(case.watched, Watched)
        case.watched.registry.remove(case.pool.own)
        for here, there in ((case.pool.own, plain.own), (case.pool.queue(), plain.queue())):
            assert type(here) is type(there)
            assert original(type(here)) is None
        await case.check_in(connection)
        del connection
        async with case.pool.block() as connection:
            await case.ask(connection)
        assert case.watched.registry.samples("host:0") == []
        await plain.close()
        case.watched = Watched(case.pool.own)
        case.acquired = case.returned = 0
        await _by_hand(case)
        case.check()

    run(kind, postgres, scenario)


@each_python_kind
def test_a_forked_child_has_nothing_of_its_parents_and_shows_what_it_does_itself(
    postgres: Cluster, tmp_path: Path, kind: Kind
) -> None:
    reported = run_app("forked_pool", postgres.dsn(), kind.name, directory=tmp_path)
    child = reported["child"]
    assert child["at first"] == {}
    assert list(child["own"]) == ["own"]
    own = child["own"]["own"]
    assert (own["acquired"], own["active"], own["waiting"], own["queued"]) == (1, 1, 0, 0)
    parent = reported["parent"]["main"]
    assert (parent["acquired"], parent["active"]) == (SIZE + kind.waits, 0)
    assert (parent["waiting"], parent["queued"]) == (0, int(kind.waits))


@each_python_kind
def test_a_connection_that_was_out_before_is_unknown_until_it_has_come_back(
    postgres: Cluster, kind: Kind
) -> None:
    async def scenario(case: Case) -> None:
        assert isinstance(case.watched, Watched)
        case.watched.registry.remove(case.pool.own)
        connection = await case.pool.check_out()
        case.watched = Watched(case.pool.own)
        await case.pool.check_in(connection)
        del connection
        await _by_hand(case)
        case.check()

    run(kind, postgres, scenario)


@each_kind
def test_a_pool_is_reported_where_its_sessions_lead(postgres: Cluster, kind: Kind) -> None:
    async def scenario(case: Case) -> None:
        await _by_hand(case)
        info = case.sample().info
        assert info is not None
        assert (info.host, info.port) == (postgres.host, str(postgres.port))
        assert (info.database, info.user) == ("postgres", "postgres")
        client = kind.name if kind.toolchain else kind.name.partition("-")[0]
        assert (info.client, info.source) == (client, "instrumented")

    run(kind, postgres, scenario)


@each_python_kind
def test_what_a_library_cannot_tell_is_absent_and_all_else_is_there(
    postgres: Cluster, kind: Kind
) -> None:
    async def scenario(case: Case) -> None:
        out = await case.check_out_all() if kind.limit else [await case.check_out()]
        waiter = asyncio.create_task(case.pool.check_out_when_free()) if kind.waits else None
        if waiter is not None:
            await case.until(lambda: case.sample().waiting, "it waits")
        during = case.sample()
        await case.return_all(out)
        if waiter is not None:
            await case.pool.check_in(await waiter)
        after = case.sample()
        reported = {series.metric for series in of_pools((during, after))}
        reported |= {catalogue.POOL_LEAKED_SLOTS} if kind.dropped == "leaked" else set()
        reported |= {catalogue.POOL_RECLAIMED} if kind.dropped == "returned" else set()
        if kind.name.startswith("psycopg_pool-null"):
            reported.add(catalogue.POOL_OLDEST_IDLE)  # nothing is ever idle
        pool_metrics = {metric for metric in catalogue.METRICS if metric.section == "pool"}
        measured = libraries.KINDS[kind.library]
        absent = {field for metric in pool_metrics - reported for field in metric.fields}
        assert absent == measured.unknown
        assert set(after.timeouts) == set(timeouts(measured.driver))

    run(kind, postgres, scenario)


@pytest.mark.parametrize(
    "kind", cases(kind for kind in KINDS if kind.name.startswith("sqlalchemy"))
)
@pytest.mark.parametrize("how", ["detach", "invalidate"])
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # a detached one is nobody's to close
def test_a_connection_taken_out_of_an_engines_pool_is_given_back_to_it(
    postgres: Cluster, kind: Kind, how: str
) -> None:
    async def scenario(case: Case) -> None:
        connection = await case.check_out()
        sync = getattr(connection, "sync_connection", connection)
        if kind.is_async and how == "invalidate":
            await connection.invalidate()
        else:
            getattr(sync, how)()
        case.returned += 1
        case.check()
        await case.pool.check_in(connection)
        case.check()
        await _by_hand(case)
        case.check()
        if kind.limit:
            assert isinstance(case.pool.own.pool, QueuePool)
            assert case.pool.own.pool.checkedout() == 0

    run(kind, postgres, scenario)
