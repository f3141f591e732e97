"""`pg-pool-exporter demo`, as a user runs it."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

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


def start(temporary: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        exporter("demo", *arguments),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(temporary)},
    )  # fmt: skip


def processes_in(temporary: Path) -> list[str]:
    """Command lines that name the directory, of processes that run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has just ended
            continue
        if str(temporary) in line:
            found.append(line)
    return found


def test_demo_runs_unattended_and_leaves_nothing(temporary: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    demo = start(temporary, "--for", "25s", f"--web.listen-address={address}")
    try:
        wait_until(lambda: answers(f"http://{address}/metrics"), "the demo serves", 30)
        wait_until(
            lambda: 'pg_pool_leaked_slots{app="shop-leaky"' in fetch(f"http://{address}/metrics"),
            "the leak is shown",
        )
        page = fetch(f"http://{address}/metrics")
        assert len(processes_in(temporary)) >= 4  # server, two applications, exporter
        out, err = demo.communicate(timeout=60)
    finally:
        demo.kill()
        demo.communicate()
    assert (demo.returncode, err) == (0, "")
    assert f"What is wrong: http://{address}/\nMetrics: http://{address}/metrics\n" in out
    assert "\nIts PostgreSQL: psql 'host=/" in out
    # The line, in the application's file, with its function.
    assert re.search(r"shop-leaky +main .*\d+ at \S*demo/shop\.py:\d+ show_report", out)
    assert re.search(r"shop-healthy +main .* none", out)
    assert not re.search(r"pg_pool_(leaked_slots|overdue_connections)\{app=\"shop-healthy", page)
    assert processes_in(temporary) == []
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_demo_ends_cleanly_when_interrupted(temporary: Path, number: signal.Signals) -> None:
    address = f"127.0.0.1:{free_port()}"
    demo = start(temporary, f"--web.listen-address={address}")
    try:
        wait_until(lambda: answers(f"http://{address}/metrics"), "the demo serves", 30)
        demo.send_signal(number)
        out, err = demo.communicate(timeout=30)
    finally:
        demo.kill()
        demo.communicate()
    assert (demo.returncode, err) == (0, "")
    assert "nothing is left behind" in out
    assert processes_in(temporary) == []
    assert list(temporary.iterdir()) == []


def test_demo_says_that_the_address_is_taken(temporary: Path) -> None:

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
