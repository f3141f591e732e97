"""`pg-pool-exporter demo`, as a user runs it."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pg_pool_exporter.commands.demo.table import table
from support.postgres import wait_until
from support.programs import answers, exporter, fetch, free_port


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A directory for temporary files that PostgreSQL's account may enter."""
    directory = Path(tempfile.mkdtemp(prefix="demo-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@contextmanager
def demonstration(
    temporary: Path, *arguments: str, output: int | IO[str] = subprocess.PIPE
) -> Iterator[subprocess.Popen[str]]:
    """The running demonstration. It must end with 0, and leave no process and no file."""
    demo = start(temporary, *arguments, output=output)
    try:
        yield demo
        _, errors = demo.communicate(timeout=60)
    finally:
        demo.kill()
        demo.communicate()
    assert (demo.returncode, errors) == (0, "")
    assert processes_in(temporary) == []
    assert list(temporary.iterdir()) == []


def start(
    temporary: Path, *arguments: str, output: int | IO[str] = subprocess.PIPE
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        exporter("demo", *arguments),
        stdout=output, stderr=subprocess.PIPE, text=True,
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(temporary)},
    )  # fmt: skip


def processes_in(temporary: Path) -> list[str]:
    """Command lines of running processes that name the directory."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has just ended
            continue
        if str(temporary) in line:
            found.append(line)
    return found


def test_demo_shows_the_line_that_leaks_until_ctrl_c(temporary: Path, tmp_path: Path) -> None:
    """The line, in the application's file, with its function."""
    address, shown = f"127.0.0.1:{free_port()}", tmp_path / "shown"
    leak = re.compile(r"shop-leaky +main .*\d+ at \S*demo/shop\.py:\d+ show_report")
    with (
        shown.open("w") as output,
        demonstration(temporary, f"--web.listen-address={address}", output=output) as demo,
    ):
        wait_until(lambda: leak.search(shown.read_text()), "the leak is in the table", 60)
        page = fetch(f"http://{address}/metrics")
        assert len(processes_in(temporary)) >= 4  # server, two applications, exporter
        demo.send_signal(signal.SIGINT)
    text = shown.read_text()
    assert f"http://{address}/\n" in text
    assert f"http://{address}/metrics\n" in text
    assert "psql 'host=/" in text
    assert "nothing is left behind" in text
    assert re.search(r"shop-healthy +main .* none", text)
    assert not re.search(r"pg_pool_(leaked_slots|overdue_connections)\{app=\"shop-healthy", page)


def test_demo_ends_by_itself_after_the_time_that_is_asked_for(temporary: Path) -> None:
    with demonstration(temporary, "--for=1s", f"--web.listen-address=127.0.0.1:{free_port()}"):
        pass


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.slow)]
)
def test_demo_ends_cleanly_when_interrupted(temporary: Path, number: signal.Signals) -> None:
    address = f"127.0.0.1:{free_port()}"
    with demonstration(temporary, f"--web.listen-address={address}") as demo:
        wait_until(lambda: answers(f"http://{address}/metrics"), "the demo serves", 60)
        demo.send_signal(number)


def test_demo_names_the_address_that_is_taken(temporary: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        demo = start(temporary, "--for", "5s", f"--web.listen-address={address}")
        _, err = demo.communicate(timeout=60)
    assert demo.returncode == 1
    assert address in err
    assert list(temporary.iterdir()) == []


def test_demo_names_the_scenarios_that_there_are(temporary: Path) -> None:
    demo = start(temporary, "--scenario=quiet")
    _, err = demo.communicate(timeout=60)
    assert demo.returncode == 2
    assert "--scenario: must be one of healthy, leak, trouble" in err


def test_table_shows_a_row_for_each_pool_with_its_leaks() -> None:
    page = """\
# TYPE pg_pool_connections gauge
pg_pool_connections{app="a",pool="main",process="h:0",state="idle"} 3
pg_pool_connections{app="a",pool="main",process="h:0",state="active"} 2
# TYPE pg_pool_max_connections gauge
pg_pool_max_connections{app="a",pool="main",process="h:0"} 10
# TYPE pg_pool_oldest_idle_seconds gauge
pg_pool_oldest_idle_seconds{app="a",pool="main",process="h:0"} 1.25
# TYPE pg_pool_leaked_slots gauge
pg_pool_leaked_slots{app="a",pool="main",process="h:0",site="x.py:1 f"} 1
"""
    assert list(text_string_to_metric_families(page))
    assert table(page).splitlines() == [
        "app  pool  active  idle  waiting  max  oldest idle  leaks",
        "a    main  2       3     -        10   1.2 s        1 at x.py:1 f",
    ]
