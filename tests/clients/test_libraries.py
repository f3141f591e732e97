"""What each library shows of its pool on a real PostgreSQL, against what was done to the pool."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from conftest import require
from pg_pool_exporter.sources.base import PollError
from support.applications import CLIENTS, Application
from support.client import page_of
from support.daemons import Scraper, exporting
from support.libraries import LIBRARIES, SIZE, SPRING_BOOT_WITH_OUR_CLIENT, Library
from support.postgres import Cluster, wait_until
from support.programs import exporter, fetch

Start = Callable[..., Application]

pytestmark = pytest.mark.slow

ALL, WITH_RECIPE = (
    [
        pytest.param(library, id=name, marks=getattr(pytest.mark, library.toolchain))
        for name, library in LIBRARIES.items()
        if library.with_recipe or not only
    ]
    for only in (False, True)
)


@pytest.fixture
def start(postgres: Cluster, tmp_path: Path) -> Iterator[Start]:
    """Starts the application of a library, with more variables in its environment."""
    with ExitStack() as stack:

        def run(library: Library, **environment: str) -> Application:
            require(shutil.which(library.toolchain), f"the command {library.toolchain}")
            built = CLIENTS / library.directory / library.built
            require(
                built.exists(), f"what `make clients` builds in tests/clients/{library.directory}"
            )
            return stack.enter_context(Application(library, postgres, tmp_path, **environment))

        yield run


@pytest.mark.parametrize("library", ALL)
def test_each_state_of_the_pool_is_shown(library: Library, start: Start) -> None:
    application = start(library)
    application.take(3)
    application.give()
    application.assert_shown()
    application.take(3)
    application.assert_shown()
    assert application.truth.active == SIZE
    application.ask(2)
    application.assert_shown()
    application.give()
    application.assert_shown()
    application.take_in_vain()
    application.assert_shown()
    assert application.truth.timeouts == 2
    application.give(SIZE)
    application.assert_times(application.assert_shown())


@pytest.mark.parametrize("library", WITH_RECIPE)
def test_a_connection_that_is_never_returned_stays_active(library: Library, start: Start) -> None:
    """Its format is named in the configuration here."""
    application = start(library)
    if library.shown_unused:
        unused = application.pool()
        assert (unused.max, unused.active or 0) == (SIZE, 0)
    else:
        with pytest.raises(PollError, match="no series of a pool is on the page"):
            application.pool()
    application.take()
    application.forget()
    application.give()
    application.take(2)
    application.give(2)
    assert application.truth.active == 1
    application.assert_shown(library.format)


@pytest.mark.parametrize(
    ("recipe", "library"),
    [
        pytest.param("node", "pg.Pool", marks=pytest.mark.node),
        pytest.param("java", "Spring Boot", marks=pytest.mark.java),
        pytest.param("go", "pgxpool", marks=pytest.mark.go),
    ],
)
def test_the_command_shows_what_the_recipe_says(recipe: str, library: str, start: Start) -> None:
    application = start(LIBRARIES[library])
    application.take(3)
    application.give()
    application.assert_shown()
    once = exporter("once", f"--config.file={application.config}")
    done = subprocess.run(once, check=True, capture_output=True, text=True)
    text = (CLIENTS.parents[1] / "docs" / "how-to" / f"{recipe}.md").read_text()
    (sample,) = re.findall(r"^```text\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    shown = _without_process(done.stdout).splitlines()
    for line in _without_process(sample).splitlines():
        assert line in shown


def _without_process(page: str) -> str:
    return re.sub(r'process="[^"]*"', "", page)


@pytest.mark.node
def test_a_query_of_the_pool_is_a_checkout_for_the_client_for_node(start: Start) -> None:
    application = start(LIBRARIES["pg.Pool"])
    application.query()
    application.assert_shown()


@pytest.mark.node
def test_a_server_that_does_not_answer_is_a_time_out_of_connecting_for_the_client_for_node(
    start: Start, postgres: Cluster
) -> None:
    application = start(LIBRARIES["pg.Pool"])
    postgres.pause_postmaster()
    try:
        application.take_in_vain()
    finally:
        postgres.resume()
    assert application.pool().timeouts == {"pool": 0, "connect": 1}


@pytest.mark.node
def test_the_client_for_node_names_the_line_that_holds_a_connection(start: Start) -> None:
    application = start(LIBRARIES["pg.Pool"], PG_POOL_EXPORTER_LEAK_AFTER="500ms")
    application.take()
    application.forget()
    application.give()
    wait_until(lambda: application.pool().overdue, "the forgotten one is overdue")
    sample = application.pool()
    assert sample.overdue == {
        f"node/borrowing.js:{line_of('node/borrowing.js', 'pool.connect()')} borrow": 1
    }
    assert sample.oldest_active is not None
    assert sample.oldest_active > 0.5


@pytest.mark.java
def test_the_client_as_a_dependency_of_spring_boot_names_the_line(
    start: Start, tmp_path: Path
) -> None:
    application = start(
        SPRING_BOOT_WITH_OUR_CLIENT,
        PG_POOL_EXPORTER_LEAK_AFTER="500ms",
        PG_POOL_EXPORTER_SOCKET_DIR=str(tmp_path),
        SPRING_APPLICATION_NAME="orders",
    )
    application.take()
    application.forget()
    application.give()
    line = line_of("java/spring/src/main/java/orders/Application.java", "          pool.getConn")
    site = f"orders/Application.java:{line} Application.run"

    def is_named() -> bool:
        sample = application.pool()
        # Java may have collected it already: then its slot is lost.
        return {site: 1} in (sample.overdue, sample.leaked_slots)

    wait_until(is_named, "the forgotten one is named with its line")
    assert 'app="orders",pool="main"' in page_of(tmp_path / "orders-0.sock")


@pytest.mark.node
def test_a_forgotten_transaction_of_sequelize_is_seen_by_the_server(
    start: Start, postgres: Cluster
) -> None:
    application = start(LIBRARIES["Sequelize"])
    application.forget()
    states = "SELECT state FROM pg_stat_activity WHERE application_name = 'orders'"
    assert postgres.run(states) == [("idle in transaction",)]


@pytest.mark.java
def test_hikaricp_logs_the_line_that_holds_a_connection(start: Start, tmp_path: Path) -> None:
    log = tmp_path / "spring.log"
    application = start(
        LIBRARIES["Spring Boot"],
        SPRING_DATASOURCE_HIKARI_LEAKDETECTIONTHRESHOLD="2000",  # the least that it takes
        LOGGING_FILE_NAME=str(log),
    )
    application.forget()
    file = "java/spring/src/main/java/orders/Application.java"
    line = line_of(file, "          pool.getConnection();")
    wait_until(lambda: f"(Application.java:{line})" in log.read_text(), "its line is logged")
    assert "Connection leak detection triggered for " in log.read_text()


@pytest.mark.java
def test_the_policy_for_jolokia_lets_nothing_else_be_read(start: Start) -> None:
    application = start(LIBRARIES["HikariCP by Jolokia"])
    url = f"http://127.0.0.1:{application.port}/jolokia/read"
    assert json.loads(fetch(f"{url}/com.zaxxer.hikari:type=Pool%20(main)"))["status"] == 200
    assert json.loads(fetch(f"{url}/java.lang:type=Runtime"))["status"] == 403


@pytest.mark.go
def test_a_profile_of_pgxpool_has_the_lines_that_hold_connections(start: Start) -> None:
    application = start(LIBRARIES["pgxpool"])
    application.take(2)
    application.forget()
    application.give(2)
    address = f"http://127.0.0.1:{application.port}/debug/pprof/pgxpool.checkouts?debug=1"
    # The tracer hears of a return in another goroutine.
    wait_until(
        lambda: fetch(address).startswith("pgxpool.checkouts profile: total 1\n1 @ "),
        "the profile has the forgotten one alone",
    )
    profile = fetch(address)
    assert f"/main.go:{line_of('go/main.go', '_, err := borrow(context.Background())')}" in profile


def line_of(file: str, text: str) -> int:
    """The number of the one line of an application that has a text."""
    lines = (CLIENTS / file).read_text().splitlines()
    (number,) = [number for number, line in enumerate(lines, 1) if text in line]
    return number


_LATE = ("postgresql_unreachable", "target_unreachable")
"""Causes that a busy machine has, too."""


@pytest.mark.parametrize("library", WITH_RECIPE)
def test_a_long_query_is_no_leak(library: Library, start: Start, postgres: Cluster) -> None:
    """All durations are a sixtieth: a leak threshold of a second, and a query of three."""
    application = start(library, PG_POOL_EXPORTER_LEAK_AFTER="1s")
    application.take()
    application.give()
    application.config.write_text(
        f'servers: [{{name: main, dsn: "{postgres.dsn()}", interval: 200ms}}]\n'
        f"apps: [{{name: orders, server: main, leak_after: 1s, interval: 200ms, timeout: 200ms, "
        f'format: {library.loosest_format}, targets: ["{application.url}"]}}]\n'
        'socket_dir: ""\nstate_dir: ""\n'
    )

    async def main() -> None:
        async with exporting(application.config) as exporter:
            await exporter.until(lambda: _knows_pool(exporter), 30)
            seen = await _watch(exporter, asyncio.create_task(asyncio.to_thread(application.work)))
        pools = [pool for one in seen for pool in one["pools"]]
        assert max(pool["active"] or 0 for pool in pools) == 1
        if library.format == "native":
            assert max(pool["overdue"] or 0 for pool in pools) == 1
        found = [finding for one in seen for finding in one["findings"]]
        assert [one for one in found if one["cause"] not in _LATE] == []

    asyncio.run(main())


async def _findings(exporter: Scraper) -> Any:
    _, body = await exporter.get("/api/v1/findings")
    return json.loads(body)


async def _knows_pool(exporter: Scraper) -> bool:
    return bool((await _findings(exporter))["pools"])


async def _watch(exporter: Scraper, work: asyncio.Task[None]) -> list[Any]:
    """What the exporter reports until the work is done, and two leak thresholds longer."""

    async def longer() -> None:
        await work
        await asyncio.sleep(2)

    watched = asyncio.create_task(longer())
    seen = []
    while not watched.done():
        seen.append(await _findings(exporter))
        await asyncio.sleep(0.05)
    await watched
    return seen
