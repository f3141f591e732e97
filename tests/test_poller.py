"""When targets are polled, and what is written down of it. All on a virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
import structlog

from pg_pool_exporter.model import Snapshot
from pg_pool_exporter.polling.poller import Poller, next_poll
from pg_pool_exporter.polling.store import Store, TargetState
from pg_pool_exporter.sources.base import PollError, TargetGoneError
from support import virtual_time
from support.sources import Scripted, hang, process_id, snapshot, target

EPOCH = 1_700_000_000.0


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    """The lines of the log."""
    with structlog.testing.capture_logs() as captured:
        yield captured


@asynccontextmanager
async def polling(source: Scripted, store: Store, name: str = "orders-0") -> Any:
    """Poll `source` every 5 s with a deadline of 3 s."""
    poller = Poller(target(name), source, store, wall=lambda: EPOCH)
    task = asyncio.create_task(poller.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


def state(store: Store, name: str = "orders-0") -> TargetState:
    found = store.get(process_id(name))
    assert found is not None
    return found


def polled_for(seconds: float, *script: Any) -> tuple[Scripted, TargetState]:
    """What is known after polling for some time."""
    source, store = Scripted(*script), Store()

    async def main() -> None:
        async with polling(source, store):
            await asyncio.sleep(seconds)

    virtual_time.run(main())
    return source, state(store)


def test_a_target_is_polled_at_once_and_then_every_interval() -> None:
    source, _ = polled_for(60, snapshot())
    assert source.polls[0] == 0
    gaps = [later - earlier for earlier, later in pairwise(source.polls)]
    assert 0 < gaps[0] <= 6.05
    assert gaps[1:] == pytest.approx([5.0] * (len(gaps) - 1), abs=1.0)


def test_the_schedule_does_not_drift_when_polls_take_time() -> None:
    async def slowly() -> Any:
        await asyncio.sleep(1.7)
        return snapshot()

    source, _ = polled_for(600, slowly)
    took = source.polls[-1] - source.polls[1]
    assert took == pytest.approx(5.0 * (len(source.polls) - 2), abs=1.0)


def test_polls_are_in_step_with_no_job_of_the_application() -> None:
    source, _ = polled_for(600, snapshot())
    for each in (0.5, 1.0):
        phases = [at % each / each for at in source.polls]
        for begin in range(10):
            hits = sum(begin <= 10 * phase < begin + 1 for phase in phases)
            assert hits == pytest.approx(len(phases) / 10, abs=0.05 * len(phases))


def test_polls_of_a_target_never_overlap_even_if_each_takes_its_whole_interval() -> None:
    source, store = Scripted(hang), Store()

    async def main() -> None:
        poller = Poller(target(interval=5.0, timeout=5.0), source, store)
        task = asyncio.create_task(poller.run())
        await asyncio.sleep(60)
        task.cancel()
        await asyncio.wait({task})

    virtual_time.run(main())
    gaps = [later - earlier for earlier, later in pairwise(source.polls)]
    assert min(gaps) >= 5.0


@pytest.mark.parametrize(
    ("started", "now"),
    [(0.0, 0.0), (0.0, 4.9), (12.3, 12.3), (12.3, 15.3), (1e6, 1e6 + 3), (7.0, 100.0)],
)
def test_the_next_poll_is_after_now_and_hardly_more_than_an_interval_later(
    started: float, now: float
) -> None:
    for number, name in enumerate(("main", "orders-0", "naïve", "\udcff")):
        tick = next_poll(name, 5.0, started, now, number)
        assert max(now, started + 0.05) <= tick <= max(now, started + 0.05) + 6.0


def test_targets_are_spread_over_the_interval() -> None:
    ticks = [next_poll(f"orders-{number}", 10.0, 0.0, 0.0, number) for number in range(200)]
    for begin in range(1, 10):
        assert 5 <= sum(begin <= tick < begin + 1 for tick in ticks) <= 40


def test_a_target_that_hangs_is_down_at_its_deadline() -> None:
    async def main() -> None:
        store = Store()
        async with polling(Scripted(hang), store):
            await asyncio.sleep(2.99)
            assert state(store).health.polls == 0
            await asyncio.sleep(0.02)
            assert state(store).health.failures == {"timeout": 1}

    virtual_time.run(main())


def test_a_target_that_starts_to_hang_is_down_within_interval_and_timeout() -> None:
    async def main() -> None:
        store = Store()
        async with polling(Scripted(snapshot(), hang), store):
            await asyncio.sleep(0.01)
            assert state(store).health.up
            await asyncio.sleep(5.0 + 3.0 + 0.1)
            assert not state(store).health.up

    virtual_time.run(main())


def test_a_target_that_hangs_delays_no_other() -> None:
    async def main() -> list[float]:
        store, healthy = Store(), Scripted(snapshot())
        async with polling(Scripted(hang), store, "hung"), polling(healthy, store, "healthy"):
            await asyncio.sleep(60)
        return healthy.polls

    alone, _ = polled_for(60, snapshot())
    assert len(virtual_time.run(main())) in range(len(alone.polls) - 1, len(alone.polls) + 2)


def test_a_target_that_answers_again_is_up_within_two_intervals() -> None:
    _, found = polled_for(10, hang, snapshot())
    assert found.health.up


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (PollError("refused", "nobody listens"), "refused"),
        (PollError("too_many_connections", "the server is full"), "too_many_connections"),
        (TimeoutError(), "timeout"),
        (ValueError("a bug"), "other"),
        (ExceptionGroup("several", [ValueError()]), "other"),
    ],
)
def test_failures_are_counted_by_their_reason(error: Exception, reason: str) -> None:
    source, found = polled_for(30, error)
    assert found.health.polls == len(source.polls)
    assert found.health.failures == {reason: len(source.polls)}


def test_a_failure_is_reported_in_a_sentence_without_secrets() -> None:
    _, found = polled_for(30, PollError("auth", "who are you? password=hunter2"))
    assert found.health.error == "who are you? password=***"


def test_a_cancellation_that_nobody_asked_for_is_a_failure_like_any_other() -> None:
    async def cancelled_inside() -> Any:
        task = asyncio.create_task(asyncio.sleep(100))
        task.cancel()
        await task

    source, found = polled_for(60, snapshot(), cancelled_inside, snapshot())
    assert len(source.polls) >= 12
    assert found.health.up
    assert found.health.failures == {"other": 1}


def test_values_that_can_not_be_shown_are_a_failure_and_the_schedule_and_the_last_ones_stay() -> (
    None
):
    class Choosy(Store):
        async def publish(self, state: TargetState) -> None:
            if state.snapshot == snapshot("orders/main/bad:0"):
                raise ValueError("a bug")
            await super().publish(state)

    async def main() -> None:
        store = Choosy()
        good, bad = snapshot("orders/main/a:0"), snapshot("orders/main/bad:0")
        source = Scripted(good, bad)
        async with polling(source, store):
            await asyncio.sleep(60)
        found = state(store)
        assert found.snapshot == good
        assert found.health.failures == {"other": len(source.polls) - 1}
        gaps = [later - earlier for earlier, later in pairwise(source.polls)]
        assert gaps[1:] == pytest.approx([5.0] * (len(gaps) - 1), abs=1.0)

    virtual_time.run(main())


def test_a_success_is_dated_and_survives_later_failures() -> None:
    _, found = polled_for(20, snapshot("orders/main/a:0"), PollError("refused", "nobody listens"))
    assert not found.health.up
    assert found.health.last_success == EPOCH
    assert found.snapshot == snapshot("orders/main/a:0")
    assert found.taken == 0.0


def test_the_duration_of_the_last_poll_is_known_also_if_it_failed() -> None:
    _, found = polled_for(4, hang)
    assert found.health.duration == pytest.approx(3.0)


def test_the_log_has_one_line_for_each_change_not_for_each_poll(lines: list[Any]) -> None:
    refused, auth = PollError("refused", "nobody listens"), PollError("auth", "wrong password")
    polled_for(100, refused, refused, refused, auth, auth, snapshot(), snapshot(), refused)
    logged = [(line["event"], line.get("reason")) for line in lines]
    assert logged == [
        ("target down", "refused"),
        ("target down", "auth"),
        ("target up", None),
        ("target down", "refused"),
    ]
    assert lines[0]["error"] == "nobody listens"
    assert (lines[0]["target"], lines[0]["kind"]) == ("orders-0", "process")


def test_a_reason_that_changes_back_and_forth_is_logged_once_while_a_target_is_down(
    lines: list[Any],
) -> None:
    refused, other = PollError("refused", "nobody listens"), PollError("other", "no descriptors")
    polled_for(60, *[refused, other] * 5)
    assert [line["reason"] for line in lines] == ["refused", "other"]


def test_an_unforeseen_error_is_reported_by_its_place_never_by_its_text(lines: list[Any]) -> None:
    polled_for(30, ValueError("password=hunter2"))
    assert len(lines) == 1
    assert lines[0]["error"] == "ValueError"
    assert "in poll" in lines[0]["stack"]
    assert "hunter2" not in str(lines)


def test_a_target_that_is_gone_is_forgotten_at_once_and_not_polled_again() -> None:
    async def main() -> Scripted:
        store, source = Store(), Scripted(snapshot("orders/main/a:0"), TargetGoneError())
        async with polling(source, store) as task:
            await task
            assert store.states() == ()
        return source

    source = virtual_time.run(main())
    assert len(source.polls) == 2
    assert source.closed


def test_a_poller_that_is_stopped_during_a_poll_lets_go_of_its_source() -> None:
    source, found = polled_for(1, hang)
    assert source.closed
    assert source.running == 0
    assert found.health.polls == 0


def test_a_snapshot_is_of_a_moment_between_the_poll_s_begin_and_its_end() -> None:
    async def slow() -> Snapshot:
        await asyncio.sleep(1.5)
        return snapshot("orders/main/a:0")

    source, found = polled_for(3, slow)
    assert (found.begun, found.taken) == (source.polls[0], source.polls[0] + 1.5)


def test_why_the_last_poll_failed_is_known_until_one_succeeds() -> None:
    _, down = polled_for(8, snapshot("orders/main/a:0"), PollError("refused", "nobody listens"))
    assert (down.health.reason, down.begun <= down.taken) == ("refused", True)
    _, up = polled_for(8, PollError("refused", "nobody listens"), snapshot("orders/main/a:0"))
    assert up.health.reason is None
