"""One result for all who ask for it at the same time."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field

import pytest

from pg_pool_exporter.blocking.shared import SharedResult
from pg_pool_exporter.blocking.threads import Lane


@dataclass
class Press:
    """Copies an original, when it may go."""

    original: object = field(default_factory=object)
    made: int = 0
    go: threading.Event = field(default_factory=threading.Event)
    fails: bool = False

    def copy(self, _original: object) -> int:
        assert self.go.wait(10)
        self.made += 1
        if self.fails:
            raise ValueError("no ink")
        return self.made

    def shared(self) -> SharedResult[object, int]:
        return SharedResult(lambda: self.original, self.copy, Lane("test"))


@pytest.fixture
def press() -> Press:
    return Press()


def test_many_callers_cost_one_result_for_each_original(press: Press) -> None:
    press.go.set()

    async def main() -> None:
        shared = press.shared()
        assert await asyncio.gather(*(shared.get() for _ in range(50))) == [1] * 50
        assert await shared.get() == 1
        press.original = object()
        assert await shared.get() == 2

    asyncio.run(main())


def test_callers_that_come_while_an_older_one_is_made_share_the_next(press: Press) -> None:
    async def main() -> None:
        shared = press.shared()
        first = asyncio.create_task(shared.get())
        await asyncio.sleep(0)
        press.original = object()
        others = [asyncio.create_task(shared.get()) for _ in range(5)]
        await asyncio.sleep(0)
        assert not first.done(), "the loop goes on meanwhile"
        press.go.set()
        assert await first == 1
        assert await asyncio.gather(*others) == [2] * 5

    asyncio.run(main())


def test_a_caller_that_is_cancelled_takes_the_result_from_nobody(press: Press) -> None:
    async def main() -> None:
        shared = press.shared()
        gone, stays = (asyncio.create_task(shared.get()) for _ in range(2))
        await asyncio.sleep(0)
        gone.cancel()
        press.go.set()
        assert await stays == 1

    asyncio.run(main())


def test_after_a_failure_the_next_call_tries_again(press: Press) -> None:
    press.go.set()
    press.fails = True

    async def main() -> None:
        shared = press.shared()
        with pytest.raises(ValueError, match="no ink"):
            await shared.get()
        press.fails = False
        assert await shared.get() == 2

    asyncio.run(main())
