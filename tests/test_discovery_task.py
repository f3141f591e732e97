"""One place that lists addresses becomes pages of an application, over time."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import pytest
from structlog.testing import capture_logs

from pg_pool_exporter.config import AppConfig
from pg_pool_exporter.discovery import task
from pg_pool_exporter.discovery.address_list import Address, ListError
from pg_pool_exporter.discovery.discoverer import Listing
from pg_pool_exporter.discovery.task import DiscoveryTask
from support import virtual_time

APP = AppConfig(name="orders", metrics_path="/m")


class Scripted:
    """A place that gives what its script says, the last entry again and again."""

    mechanism: ClassVar[str] = "http_sd"
    key = name = "https://sd/pools"

    def __init__(self, *script: Listing | Exception | float) -> None:
        self._script = script
        self.looked = 0

    def take_over(self, former: Scripted) -> None:
        pytest.fail("it is no place of a former configuration")

    async def discover(self) -> Listing:
        entry = self._script[min(self.looked, len(self._script) - 1)]
        self.looked += 1
        if isinstance(entry, Exception):
            raise entry
        if isinstance(entry, float):
            await asyncio.sleep(entry)
            return Listing()
        return entry


def listing(*texts: str, problem: str | None = None) -> Listing:
    """A list of these addresses."""
    addresses = (Address(text, at=f"[0].targets[{n}]") for n, text in enumerate(texts))
    return Listing(tuple(addresses), problem)


def refreshed(
    *script: Listing | Exception | float,
) -> tuple[DiscoveryTask, list[dict[str, object]]]:
    """A task after one discovery for each entry of the script, and its log."""
    made = DiscoveryTask(APP, Scripted(*script), 60.0)

    async def main() -> None:
        for _ in script:
            await made.refresh()

    with capture_logs() as logs:
        virtual_time.run(main())
    return made, [dict(entry) for entry in logs]


def test_addresses_become_pages_each_once() -> None:
    made, logs = refreshed(listing("a:1", "b:2", "a:1"))
    assert made.urls == ("http://a:1/m", "http://b:2/m")
    assert (made.status.up, made.status.targets) == (True, 2)
    assert [entry["event"] for entry in logs] == ["targets found"]


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (ListError("is not valid JSON (line 1)"), "is not valid JSON (line 1)"),
        (RuntimeError("password=hunter2"), "not read: RuntimeError"),
        (3600.0, "not read within 10 s"),
    ],
)
def test_when_a_look_up_fails_the_former_list_stays_and_the_log_says_so_once(
    failure: Exception | float, message: str
) -> None:
    made, logs = refreshed(listing("a:1"), failure, failure)
    assert made.urls == ("http://a:1/m",)
    assert (made.status.up, made.status.targets) == (False, 1)
    assert [entry.get("error") for entry in logs] == [None, message]
    assert logs[1]["app"] == "orders"
    assert logs[1]["mechanism"] == "http_sd"
    assert logs[1]["list"] == "https://sd/pools"


def test_a_place_that_is_well_again_is_reported_and_an_empty_list_is_one() -> None:
    made, logs = refreshed(listing("a:1"), ListError("is broken"), listing())
    assert (made.status.up, made.urls) == (True, ())
    assert [entry["event"] for entry in logs] == [
        "targets found",
        "target list failed",
        "target list recovered",
        "targets found",
    ]


def test_addresses_that_are_none_are_left_out_and_counted() -> None:
    made, logs = refreshed(listing("a:1", "u:hunter2@b:2", "http://c:3/"))
    assert made.urls == ("http://a:1/m",)
    assert not made.status.up
    assert logs[0]["error"] == (
        "has addresses that are left out (2): [0].targets[1]: must not hold a user or a password"
    )
    assert "hunter2" not in str(logs)


def test_addresses_beyond_the_limit_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task, "MAX_ADDRESSES", 2)
    made, logs = refreshed(listing("a:1", "b:2", "c:3"))
    assert len(made.urls) == 2
    assert logs[0]["error"] == (
        "has addresses that are left out (1): [0].targets[2]: is one of more than 2"
    )


def test_a_place_in_part_broken_is_reported_and_its_good_part_taken() -> None:
    made, logs = refreshed(listing("a:1", problem="x.json is not valid JSON (line 1)"))
    assert (made.urls, made.status.up) == (("http://a:1/m",), False)
    assert logs[0]["error"] == "x.json is not valid JSON (line 1)"


def test_it_looks_again_on_schedule_and_sooner_after_a_failure() -> None:
    place = Scripted(listing("a:1"), ListError("is broken"), ListError("is broken"), listing("b:2"))
    changes: list[float] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        made = DiscoveryTask(APP, place, 60.0, changed=lambda: changes.append(loop.time() - began))
        task = asyncio.create_task(made.run())
        await asyncio.sleep(100)
        task.cancel()

    virtual_time.run(main())
    assert changes == [0, 70], "and in between at 60 and 65"
    assert place.looked == 4
