"""The page and the document of findings: made once for all who ask, beside the scrapes."""

from __future__ import annotations

import asyncio
import threading

import pytest

from pg_pool_exporter.analysis import Diagnosis, Doctor
from pg_pool_exporter.blocking.threads import Lane
from pg_pool_exporter.web.rendering import Rendering
from support.both_sides import BothSides


class Press:
    """Makes something of a diagnosis, as slowly as it is told."""

    def __init__(self) -> None:
        self.made = 0
        self.go = threading.Event()
        self.fails = False

    def __call__(self, _diagnosis: Diagnosis, _now: float) -> int:
        assert self.go.wait(10)
        self.made += 1
        if self.fails:
            raise ValueError("no ink")
        return self.made


def rendering(sides: BothSides, press: Press) -> Rendering[int]:
    return Rendering(
        Doctor(sides.store, sides.joiner, clock=lambda: sides.now), press, Lane("test")
    )


def test_many_viewers_cost_one_page_a_second() -> None:
    sides, press = BothSides(), Press()
    press.go.set()

    async def main() -> None:
        page = rendering(sides, press)
        assert await asyncio.gather(*(page.get() for _ in range(50))) == [1] * 50
        assert await page.get() == 1
        sides.now += 1
        assert await page.get() == 2

    asyncio.run(main())


def test_others_have_their_turn_while_a_page_is_made_and_it_is_not_begun_again() -> None:
    sides, press = BothSides(), Press()

    async def main() -> None:
        page = rendering(sides, press)
        first = asyncio.create_task(page.get())
        await asyncio.sleep(0)
        sides.now += 5
        second = asyncio.create_task(page.get())
        await asyncio.sleep(0)
        assert not first.done()
        press.go.set()
        assert (await first, await second) == (1, 1)

    asyncio.run(main())


def test_a_viewer_who_hangs_up_takes_the_page_from_nobody() -> None:
    sides, press = BothSides(), Press()

    async def main() -> None:
        page = rendering(sides, press)
        gone, stays = (asyncio.create_task(page.get()) for _ in range(2))
        await asyncio.sleep(0)
        gone.cancel()
        press.go.set()
        assert await stays == 1

    asyncio.run(main())


def test_after_a_failure_the_next_diagnosis_is_tried() -> None:
    sides, press = BothSides(), Press()
    press.go.set()
    press.fails = True

    async def main() -> None:
        page = rendering(sides, press)
        with pytest.raises(ValueError, match="no ink"):
            await page.get()
        press.fails = False
        sides.now += 1
        assert await page.get() == 2

    asyncio.run(main())
