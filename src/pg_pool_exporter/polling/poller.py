"""Polls one target on a fixed schedule, and stores the outcome."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple
from zlib import crc32

import structlog

from pg_pool_exporter.blocking.threads import LaneFullError
from pg_pool_exporter.discovery import Target
from pg_pool_exporter.model import Health, Snapshot
from pg_pool_exporter.polling.log_limit import LogLimit
from pg_pool_exporter.polling.store import Store, TargetState
from pg_pool_exporter.redaction import redact
from pg_pool_exporter.sources.base import PollError, Source, TargetGoneError

# By how much of the interval a poll strays from its schedule, to either side.
_STRAY = 0.1
# Multiples of it, without their whole part, are spread evenly.
_GOLDEN_RATIO = (5**0.5 - 1) / 2

log = structlog.get_logger(__name__)


class Failure(NamedTuple):
    """Why a poll failed."""

    reason: str
    """One of `catalogue.POLL_FAILURE_REASONS`."""
    error: str
    stack: str | None = None
    limited: str = ""


class Poller:
    """Polls one target by its `source`: one poll at a time, each with a deadline.

    `limit` bounds its lines in the log, if it is given. Schedule and deadline follow the clock of
    the running loop; `wall` gives the time since the epoch, in seconds.
    """

    def __init__(
        self,
        target: Target,
        source: Source,
        store: Store,
        limit: LogLimit | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._target = target
        self._source = source
        self._store = store
        self._limit = limit
        self._wall = wall
        self._state = TargetState(key=target.id, interval=target.interval, is_local=target.is_local)
        self._up_logged = False
        # Since the target was last up: out of descriptors the reason changes with each poll.
        self._reasons_logged: set[str] = set()
        self._log = log.bind(target=target.id.label, kind=target.id.kind)
        store.put(self._state)

    async def run(self) -> None:
        """Poll, at once and then on schedule, until the target has ended or the task is cancelled.

        At the end the source is closed.
        """
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            while await self.poll():
                now = loop.time()
                tick = next_poll(
                    self._target.id.label,
                    self._target.interval,
                    started,
                    now,
                    self._state.health.polls,
                )
                await asyncio.sleep(tick - now)
                started = loop.time()
        finally:
            await self.close()

    async def poll(self) -> bool:
        """Poll once and store the outcome. False when the target no longer exists."""
        started = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self._target.timeout):
                snapshot = await self._source.poll()
            await self._succeeded(snapshot, started)
            return True
        except TargetGoneError:
            self._store.remove(self._state.key)
            if self._may_log():
                self._log.info("target gone")
            return False
        except TimeoutError:
            failure = Failure("timeout", f"no answer within {self._target.timeout:g} s")
        except PollError as error:
            failure = Failure(error.reason, str(error), limited=error.limited)
        except asyncio.CancelledError as error:
            # This task was not cancelled: the error escaped from a task that the source awaited.
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            failure = unforeseen(error)
        except Exception as error:  # noqa: BLE001 - whatever a source raises, the polls go on
            failure = unforeseen(error)
        await self._failed(failure, started)
        return True

    async def close(self) -> None:
        """Close the source."""
        await self._source.close()

    async def _succeeded(self, snapshot: Snapshot, started: float) -> None:
        now = asyncio.get_running_loop().time()
        health = self._state.health
        await self._publish(
            Health(
                up=True,
                polls=health.polls + 1,
                failures=health.failures,
                notes=snapshot.notes,
                duration=now - started,
                last_success=self._wall(),
            ),
            snapshot,
            started,
            now,
        )
        if not self._up_logged:
            self._up_logged = True
            self._reasons_logged.clear()
            if self._may_log():
                self._log.info("target up")

    async def _failed(self, failure: Failure, started: float) -> None:
        health = self._state.health
        reason = failure.reason
        await self._publish(
            Health(
                up=False,
                polls=health.polls + 1,
                failures={**health.failures, reason: health.failures.get(reason, 0) + 1},
                reason=reason,
                error=redact(failure.error),
                limited=failure.limited,
                duration=asyncio.get_running_loop().time() - started,
                last_success=health.last_success,
            ),
            self._state.snapshot,
            self._state.begun,
            self._state.taken,
        )
        self._up_logged = False
        if reason not in self._reasons_logged:
            self._reasons_logged.add(reason)
            details = {"stack": failure.stack} if failure.stack else {}
            if self._may_log():
                self._log.warning("target down", reason=reason, error=failure.error, **details)

    def _may_log(self) -> bool:
        return self._limit is None or self._limit.allows()

    async def _publish(
        self, health: Health, snapshot: Snapshot | None, begun: float, taken: float
    ) -> None:
        state = replace(self._state, health=health, snapshot=snapshot, begun=begun, taken=taken)
        await self._store.publish(state)
        self._state = state


def next_poll(name: str, interval: float, started: float, now: float, number: int) -> float:
    """The time of the next poll of the target `name`, after its poll `number`, begun at `started`.

    Each target has its own offset in the interval, by a hash of its name, so that targets are not
    polled all at once. Each poll strays a little from that: a job that runs each second would else
    be checked out at every reading, or at none. Times that pass during a poll are skipped. All are
    seconds on one clock.
    """
    offset = crc32(name.encode("utf-8", "surrogateescape")) / 2**32 * interval
    farthest = _STRAY * interval
    # A little after the start: rounding must not find the time at which the poll began again.
    earliest = max(now, started + interval / 100) + farthest
    tick = earliest + (offset - earliest) % interval
    return tick + (number * _GOLDEN_RATIO % 1 * 2 - 1) * farthest


def unforeseen(error: BaseException) -> Failure:
    """The printable parts of an unexpected error: its type and its stack.

    Its message, and those of its causes, may quote an answer, or a password; a lane's may not.
    """
    stack = "".join(traceback.format_tb(error.__traceback__))
    text = str(error) if isinstance(error, LaneFullError) else type(error).__name__
    return Failure("other", text, stack)
