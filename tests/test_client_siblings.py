"""A port: one page for all processes of an application, from whichever of them has it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from psycopg_pool import ConnectionPool

from pg_pool_exporter.client import instrument, serve
from pg_pool_exporter.client.process import Process
from pg_pool_exporter.sources.pages.reading.text_reader import PageReader
from support.busy import within
from support.client import labels, own_process, page_of, values
from support.pages import page_of as page_of_pools, pool as pool_sample
from support.postgres import wait_until
from support.programs import free_port
from support.users import let_others_enter

_SIBLING = """# HELP pg_pool_max_connections x
# TYPE pg_pool_max_connections gauge
pg_pool_max_connections{app="shop",pool="main",process="h:%s"} 5
"""


class Sibling:
    """Something that answers on a socket, in a thread, until the block is left."""

    def __init__(self, path: Path, answer: bytes | None, pause: float | None = None) -> None:
        self._pause = pause
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen(8)
        self._answer = answer
        self._kept: list[socket.socket] = []
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for one in (*self._kept, self._listening):
            one.close()

    def _run(self) -> None:
        while True:
            try:
                reader, _ = self._listening.accept()
            except OSError:
                return
            self._kept.append(reader)
            if self._answer is not None:
                with suppress(OSError):  # it has heard enough
                    reader.recv(1000)
                    if self._pause is None:
                        reader.sendall(self._answer)
                    else:
                        for byte in self._answer:
                            reader.sendall(bytes([byte]))
                            time.sleep(self._pause)
                    reader.shutdown(socket.SHUT_WR)


def answer(body: str | bytes, status: str = "200 OK") -> bytes:
    body = body if isinstance(body, bytes) else body.encode()
    return b"HTTP/1.0 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


def test_a_port_shows_every_process_of_the_application(shop: Process, tmp_path: Path) -> None:
    port = free_port()
    with Sibling(tmp_path / "shop-7.sock", answer(_SIBLING % 7)):
        serve(port)
        serve(port)
        wait_until(lambda: page_of(port), "the page is served")
        page = page_of(port)
        own = f"{socket.gethostname()}:0"
        assert labels(page, "pg_pool_max_connections", "process") == sorted(["h:7", own])
        assert labels(page, "pg_pool_info", "process") == [own]
    shop.close()
    assert page_of(port) == ""


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(None, id="says nothing"),
        pytest.param(b"", id="hangs up"),
        pytest.param(b"HTTP/1.0 x\r\n\r\n", id="no HTTP"),
        pytest.param(answer(_SIBLING % 7, "500 Oops"), id="fails"),
        pytest.param(answer(b"\xff\x00garbage\n\n# TYPE\n# TYPE \n"), id="garbage"),
        pytest.param(answer("x" * (1 << 21)), id="too large"),
        pytest.param(
            answer('# TYPE pg_pool_info gauge\npg_pool_info{app="x} 1\n} 2\nother_metric 3\n'
                   'pg_pool_info{app="y"} x"y\n'), id="lines that aren't samples",
        ),
        pytest.param(
            b"HTTP/1.0 200 OK\r\nContent-Length: 999\r\n\r\n" + (_SIBLING % 7).encode(),
            id="ends in the middle",
        ),
        pytest.param(answer((_SIBLING % 7).replace(" 5", " e-e")), id="no number"),
        pytest.param(answer((_SIBLING % 7).replace(" 5", " NaN")), id="not a number"),
        pytest.param(answer((_SIBLING % 7).replace("shop", "other")), id="another application"),
        pytest.param(answer((_SIBLING % 7).replace("}", ',x="1"}')), id="another label"),
        pytest.param(answer((_SIBLING % 7).replace("pool=", "app=")), id="a label twice"),
        pytest.param(
            answer(_SIBLING.replace('"h:%s"', f'"{socket.gethostname()}:0"')), id="our own series"
        ),
        pytest.param(
            answer('# TYPE pg_pool_acquire_seconds histogram\n'
                   'pg_pool_acquire_seconds{app="shop",pool="main",process="h:7"} 1\n'
                   '# TYPE pg_server_up gauge\npg_server_up{server="main"} 1\n'),
            id="series that pools don't have",
        ),
    ],
)  # fmt: skip
def test_a_sibling_that_answers_wrongly_is_left_out(
    shop: Process, tmp_path: Path, wrong: bytes | None
) -> None:
    with (
        Sibling(tmp_path / "shop-1.sock", wrong),
        Sibling(tmp_path / "shop-2.sock", answer(_SIBLING % 2)),
    ):
        begin = time.monotonic()
        page = shop.shared_page()
        assert time.monotonic() - begin < within(1.5)
    own = f"{socket.gethostname()}:0"
    assert labels(page, "pg_pool_max_connections", "process") == sorted(["h:2", own])
    assert labels(page, "pg_pool_info", "process") == [own]
    assert "h:7" not in page
    assert "other_metric" not in page


def test_many_siblings_that_hang_hold_up_a_scrape_for_two_seconds_at_most(
    shop: Process, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        for number in range(1, 12):
            stack.enter_context(Sibling(tmp_path / f"shop-{number}.sock", None))
        begin = time.monotonic()
        assert values(shop.shared_page(), "pg_pool_max_connections") == [2]
        assert time.monotonic() - begin < within(3)


def test_a_sibling_that_drips_holds_up_a_scrape_for_half_a_second(
    shop: Process, tmp_path: Path
) -> None:
    """One deadline for the exchange, not for each byte of it."""
    with Sibling(tmp_path / "shop-1.sock", answer(_SIBLING % 1), pause=0.1):
        begin = time.monotonic()
        page = shop.shared_page()
        assert time.monotonic() - begin < 1.5
    assert "h:1" not in page


def test_numbers_of_siblings_are_written_as_our_own(shop: Process, tmp_path: Path) -> None:
    with Sibling(tmp_path / "shop-1.sock", answer((_SIBLING % 1).replace(" 5", " 0.5e1"))):
        page = shop.shared_page()
    assert values(page, "pg_pool_max_connections", process="h:1") == [5]
    assert "0.5e1" not in page


_OWN = 'app="shop",pool="main",process="h:1"'
_HISTOGRAM = "".join(
    line
    for line in page_of_pools(pool_sample("shop", process="h:1")).decode().splitlines(keepends=True)
    if "_seconds_" in line
)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(f"pg_pool_waiting_requests{{{_OWN}}} 1e999\n", id="a number without an end"),
        pytest.param(f"pg_pool_waiting_requests{{{_OWN}}} -1\n", id="below 0"),
        pytest.param('pg_pool_waiting_requests{app="shop",process="h:1"} 1\n', id="no pool"),
        pytest.param('pg_pool_waiting_requests{app="shop",pool="",process="h"} 1\n', id="empty"),
        pytest.param(f'pg_pool_connections{{{_OWN},state="odd"}} 1\n', id="no such state"),
        pytest.param(f"pg_pool_connections{{{_OWN}}} 1\n", id="no state"),
        pytest.param(
            f'pg_pool_info{{{_OWN},pid="1"}} 1\npg_pool_info{{{_OWN},pid="2"}} 1\n', id="two infos"
        ),
        pytest.param(f"pg_pool_waiting_requests{{{_OWN}}} 1\n" * 2, id="a series twice"),
        pytest.param(_HISTOGRAM.replace('le="1.0"', 'le="1.5"'), id="other buckets"),
        pytest.param(_HISTOGRAM.replace('le="1.0"', 'le="1"'), id="a bucket in other words"),
        pytest.param(_HISTOGRAM.split("\n", 1)[1], id="a bucket less"),
        pytest.param(_HISTOGRAM.replace("_count", "_kount"), id="no count"),
        pytest.param(_HISTOGRAM.replace("} 4\n", "} 3\n", 1), id="counts that disagree"),
        pytest.param(_HISTOGRAM.replace("} 4\n", "} 4.5\n"), id="half a checkout"),
    ],
)
def test_no_sibling_makes_the_page_of_all_invalid(
    shop: Process, tmp_path: Path, wrong: str
) -> None:
    """The exporter refuses a page of which one series is wrong: of the next version, too."""
    text = wrong + (_SIBLING % 1)
    with Sibling(tmp_path / "shop-1.sock", answer(text)):
        page = shop.shared_page()
    pools = {pool.key.process: pool for pool in PageReader().read(page.encode()).pools}
    assert pools["h:1"].max == 5


def test_a_sibling_shows_no_pool_of_ours(shop: Process, tmp_path: Path) -> None:
    own = f'app="shop",pool="main",process="{socket.gethostname()}:0"'
    with Sibling(tmp_path / "shop-1.sock", answer(f'pg_pool_info{{{own},pid="x"}} 1\n')):
        page = shop.shared_page()
    assert PageReader().read(page.encode()).pools
    assert 'pid="x"' not in page


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("owner", [0, 65534])
def test_a_process_of_another_user_is_no_sibling(shop: Process, tmp_path: Path, owner: int) -> None:
    """By the user who listens, whoever the file belongs to."""
    let_others_enter(tmp_path)
    path = tmp_path / "shop-1.sock"
    script = (
        "import os, socket, sys, time\nlistening = socket.socket(socket.AF_UNIX)\n"
        "listening.bind(sys.argv[1])\nos.chown(sys.argv[1], int(sys.argv[2]), -1)\n"
        "os.setuid(65534)\nlistening.listen()\nprint('ready', flush=True)\n"
        "reader, _ = listening.accept()\nreader.recv(1000)\n"
        "reader.sendall(sys.stdin.buffer.read())\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, path, str(owner)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.readline()
        process.stdin.write(answer(_SIBLING % 1))
        process.stdin.close()
        assert "h:1" not in shop.shared_page()
        process.kill()


def test_a_port_is_taken_over_when_its_holder_lets_go(shop: Process) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        serve(port)
        time.sleep(0.1)
    wait_until(lambda: page_of(port), "the page is served")


def test_a_port_asked_for_before_there_is_a_pool_is_served_from_the_first_pool_on(
    tmp_path: Path, pool: ConnectionPool[Any]
) -> None:
    """And the sockets carry the application's name, not the script's."""
    port = free_port()
    with own_process(tmp_path):
        serve(port)
        assert page_of(port) == ""
        instrument(pool, app="shop")
        wait_until(lambda: page_of(port), "the page is served")
        assert [path.name for path in tmp_path.glob("*.sock")] == ["shop-0.sock"]


@pytest.mark.parametrize(
    ("port", "address"),
    [(70_000, "127.0.0.1"), (-1, "127.0.0.1"), (0, "127.0.0.1"), ("8080", "127.0.0.1"),
     (9187, "203.0.113.1"), (9187, "n o"), (9187, "x" * 300), (9187, None)],
)  # fmt: skip
def test_a_port_that_cannot_be_had_is_reported(
    shop: Process, port: Any, address: Any, caplog: pytest.LogCaptureFixture
) -> None:
    serve(port, address)
    wait_until(lambda: "can't be served" in caplog.text, "it is logged")


def test_a_port_listens_on_this_machine_alone_unless_told_otherwise(shop: Process) -> None:
    port = free_port()
    serve(port)
    wait_until(lambda: page_of(port), "the page is served")
    with socket.socket() as other, pytest.raises(OSError, match="refused"):
        other.connect(("127.0.0.2", port))
