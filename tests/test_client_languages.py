"""The clients in other languages: what `test_client_scenarios` cannot ask of a Python library."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from pg_pool_exporter.commands.other_clients import OTHER_CLIENTS
from pg_pool_exporter.metrics import catalogue
from pg_pool_exporter.metrics.series import of_pools
from pg_pool_exporter.metrics.text_format import header
from support.case import Case, built, each_other_kind, of_toolchain, run, source_of
from support.client import labels, own_process, series, values
from support.pools import Kind
from support.postgres import Cluster, wait_until
from support.remote_pools import KINDS, PROGRAMS, Program, RemotePool, Running

Start = Callable[..., Running]

each_program = pytest.mark.parametrize(
    "program",
    [
        pytest.param(program, id=program.toolchain, marks=of_toolchain(program.toolchain))
        for program in PROGRAMS
    ],
)
each_mistake = pytest.mark.parametrize(
    ("kind", "mistake"),
    [
        pytest.param(kind, mistake, id=f"{kind.name}-{mistake}", marks=of_toolchain(kind.toolchain))
        for kind in KINDS
        for mistake in kind.leaks
    ],
)
pytestmark = pytest.mark.slow


def remote(case: Case) -> RemotePool:
    """The pool of a case, of a program in another language."""
    assert isinstance(case.pool, RemotePool)
    return case.pool


@each_other_kind
def test_correct_use_in_the_forms_of_its_language_shows_nothing(
    postgres: Cluster, kind: Kind
) -> None:
    async def scenario(case: Case) -> None:
        for form in ("statement", "rows", "transaction", "failure"):
            if form == "failure":
                with pytest.raises(RuntimeError, match="oops"):
                    remote(case).use(form)
            else:
                remote(case).use(form)
            case.acquired += 1
            case.returned += 1
            await case.until(lambda: case.sample().active == 0, "it is back")
            case.check()

    run(kind, postgres, scenario)


@each_mistake
def test_each_classical_mistake_is_named_with_its_line(
    postgres: Cluster, kind: Kind, mistake: str
) -> None:
    async def scenario(case: Case) -> None:
        remote(case).leak(mistake)
        ((site, count),) = case.sample().overdue.items()
        assert count == 1
        assert source_of(kind, site).endswith(f"// {mistake} here")

    run(kind, postgres, scenario)


@each_other_kind
def test_a_cursor_or_connection_dropped_where_the_language_tells_is_a_lost_slot(
    postgres: Cluster, kind: Kind
) -> None:
    async def scenario(case: Case) -> None:
        remote(case).leak(kind.drops)
        case.collect()
        await case.until(lambda: case.sample().leaked == 1, "it is collected")
        sample = case.sample()
        ((site, count),) = sample.leaked_slots.items()
        assert (count, sample.active, sample.overdue) == (1, 1, {})
        assert source_of(kind, site).endswith(f"// {kind.drops} here")

    if kind.drops:
        run(kind, postgres, scenario)


@each_other_kind
def test_a_long_lived_checkout_is_never_overdue(postgres: Cluster, kind: Kind) -> None:
    async def scenario(case: Case) -> None:
        connection = await remote(case).check_out_for_long()
        sample = case.sample()
        assert (sample.active, sample.long_lived, sample.overdue) == (1, 1, {})
        await case.pool.check_in(connection)
        assert case.sample().long_lived == 0

    run(kind, postgres, scenario)


@each_other_kind
def test_timeouts_of_the_server_are_counted_by_kind_and_cancellations_are_not(
    postgres: Cluster, kind: Kind
) -> None:
    async def scenario(case: Case) -> None:
        connection = await case.check_out()
        for statement, timeout in (
            ("set statement_timeout = 50", None),
            ("select pg_sleep(5)", "statement"),
            ("set statement_timeout = 0", None),
            ("select pg_cancel_backend(pg_backend_pid())", "cancelled"),
            ("select 1/0", "failed"),
        ):
            try:
                await case.pool.ask(connection, statement)
                assert timeout is None, statement
            except RuntimeError:
                assert timeout, statement
        counted = case.sample().timeouts
        assert counted == dict.fromkeys(OTHER_CLIENTS[kind.library].timeouts, 0) | {"statement": 1}
        await case.check_in(connection)
        case.check()

    if "statement" in OTHER_CLIENTS[kind.library].timeouts:
        run(kind, postgres, scenario)


@each_other_kind
def test_what_a_library_cannot_tell_is_absent_and_all_else_is_there(
    postgres: Cluster, kind: Kind
) -> None:
    async def scenario(case: Case) -> None:
        client = OTHER_CLIENTS[kind.library]
        out = await case.check_out_all()
        waiter = asyncio.create_task(case.pool.check_out_when_free())
        if "waiting" not in client.unknown:
            await case.until(lambda: case.sample().waiting, "it waits")
        during = case.sample()
        await case.return_all(out)
        await case.pool.check_in(await waiter)
        after = case.sample()
        reported = {series.metric for series in of_pools((during, after))}
        if kind.drops:
            reported.add(catalogue.POOL_LEAKED_SLOTS)
        pool_metrics = {metric for metric in catalogue.METRICS if metric.section == "pool"}
        absent = {field for metric in pool_metrics - reported for field in metric.fields}
        assert absent == client.unknown
        assert {*after.timeouts} == client.timeouts

    run(kind, postgres, scenario)


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory for sockets, whose paths must be short."""
    with TemporaryDirectory(prefix="pgpe-") as name:
        yield Path(name)


@pytest.fixture
def start(postgres: Cluster, directory: Path) -> Iterator[Start]:
    """Starts programs that share a directory, each with a pool."""
    with ExitStack() as stack:

        def begin(program: Program, *, served: bool = True) -> Running:
            built(program.built)
            running = Running(program, postgres.dsn(), directory)
            stack.enter_context(running.process)
            assert running.process.send(f"open main {program.kind}") == "done"
            if served:
                wait_until(running.own_page, "it is served")
            return running

        yield begin


@each_program
def test_the_page_is_that_of_the_catalogue(program: Program, start: Start) -> None:
    running = start(program)
    running.process.send("use main statement")
    page = running.page()
    assert series(page)
    heads = page.split("# HELP ")[1:]
    by_name = {metric.name: metric for metric in catalogue.METRICS}
    order = [by_name[head.split()[0]] for head in heads]
    assert order == [metric for metric in catalogue.METRICS if metric in order]
    for metric in order:
        assert header(metric) in page
    assert labels(page, "pg_pool_info", "source") == ["instrumented"]


@each_program
def test_a_successor_takes_the_number_of_a_killed_process(
    program: Program, start: Start, directory: Path
) -> None:
    first, second = start(program), start(program)
    assert [one.name for one in sorted(directory.glob("*.sock"))] == ["shop-0.sock", "shop-1.sock"]
    assert labels(second.page(1), "pg_pool_info", "process") == [f"{os.uname().nodename}:1"]
    os.kill(first.process.pid, signal.SIGKILL)
    wait_until(lambda: not first.page(), "it is dead")
    successor = start(program)
    assert labels(successor.page(), "pg_pool_info", "process") == [f"{os.uname().nodename}:0"]
    assert values(successor.page(), "pg_pool_info", pid=str(successor.process.pid)) == [1]


@each_program
def test_a_process_of_another_language_has_another_number(
    program: Program, start: Start, directory: Path
) -> None:
    with own_process(directory) as process:
        process.registry.apps = lambda: ["shop"]  # type: ignore[method-assign]
        process.expose()
        wait_until((directory / "shop-0.sock").exists, "it serves")
        assert values(start(program).page(1), "pg_pool_info") == [1]


@each_program
def test_the_socket_is_for_the_user_and_its_group_and_is_bound_again_when_it_is_lost(
    program: Program, start: Start, directory: Path
) -> None:
    running = start(program)
    path = directory / "shop-0.sock"
    assert stat.S_IMODE(path.lstat().st_mode) == 0o660
    assert not [one for one in directory.iterdir() if one.name.startswith(".")]
    path.unlink()
    wait_until(running.page, "it is bound again", 10)


@each_program
def test_an_unsafe_directory_is_refused_with_what_to_do_until_it_is_safe(
    program: Program, start: Start, directory: Path
) -> None:
    directory.chmod(0o777)
    running = start(program, served=False)
    assert running.process.send("use main statement") == "done"
    assert list(directory.glob("*.sock")) == []
    assert "chmod +t" in running.log()
    directory.chmod(0o700)
    wait_until(running.page, "it is served", 10)
    assert running.log().count("chmod +t") == 1


@each_program
def test_a_directory_that_cannot_be_read_any_more_costs_the_application_nothing(
    program: Program, start: Start, directory: Path
) -> None:
    running = start(program)
    away = directory.rename(f"{directory}-away")
    directory.symlink_to(directory)  # each look fails, for root too
    wait_until(lambda: "can't be served" in running.log(), "it is logged", 10)
    assert running.process.send("use main statement") == "done"
    directory.unlink()
    away.rename(directory)
    wait_until(running.page, "it is served again", 10)


@each_program
def test_whatever_else_stands_at_a_number_is_left_alone(
    program: Program, start: Start, directory: Path
) -> None:
    (directory / "shop-0.sock").write_text("somebody's")
    (directory / "victim").write_text("")
    (directory / "victim").chmod(0o600)
    (directory / "shop-1.sock").symlink_to(directory / "victim")
    number = 2
    if program.locks:
        os.mkfifo(directory / "shop-2.lock")
        number = 3
    assert values(start(program).page(number), "pg_pool_info") == [1]
    assert (directory / "shop-0.sock").read_text() == "somebody's"
    assert stat.S_IMODE((directory / "victim").stat().st_mode) == 0o600


@each_program
def test_a_stopped_process_of_the_application_holds_up_no_other_one(
    program: Program, start: Start, directory: Path
) -> None:
    with ExitStack() as stack:
        stopped = stack.enter_context(socket.socket(socket.AF_UNIX))
        stopped.bind(str(directory / "shop-0.sock"))
        stopped.listen(0)
        (directory / "shop-7.sock").hardlink_to(directory / "shop-0.sock")
        client = stack.enter_context(socket.socket(socket.AF_UNIX))
        client.connect(str(directory / "shop-0.sock"))  # no further one has a place
        running = start(program)
        assert running.process.send("use main statement") == "done"
        assert (directory / "shop-7.sock").exists()


@each_program
def test_an_application_without_descriptors_has_no_lines_of_ours_in_its_log(
    program: Program, start: Start, directory: Path
) -> None:
    running = start(program)
    before = running.log()
    limits = resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    with ExitStack() as stack:
        for _ in range(3):
            reader = stack.enter_context(socket.socket(socket.AF_UNIX))
            reader.connect(str(directory / "shop-0.sock"))
        time.sleep(0.5)  # in which a server may try again and again
    resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE, limits)
    wait_until(running.page, "it is served again", 10)
    assert "accept" not in running.log().removeprefix(before)
