"""The page of a process on its unix socket."""

from __future__ import annotations

import logging
import os
import resource
import shutil
import socket
import subprocess
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from psycopg_pool import ConnectionPool

from conftest import require
from pg_pool_exporter.client import instrument
from pg_pool_exporter.client.process import Process
from pg_pool_exporter.client.serving import server
from pg_pool_exporter.metrics.text_format import TEXT_CONTENT_TYPE
from support.busy import within
from support.client import labels, own_process, page_of, request, series, values
from support.postgres import Cluster, wait_until
from support.programs import PROMTOOL


def test_a_process_is_found_by_its_socket_in_the_directory(shop: Process, tmp_path: Path) -> None:
    (path,) = tmp_path.glob("*.sock")
    assert path.stat().st_mode & 0o777 == 0o660
    page = page_of(path)
    assert values(page, "pg_pool_connections", app="shop", pool="main", state="idle") == [2]
    assert labels(page, "pg_pool_info", "process") == [f"{socket.gethostname()}:0"]


def test_its_socket_is_gone_when_the_process_ends(shop: Process, tmp_path: Path) -> None:
    shop.close()
    assert [path.name for path in tmp_path.iterdir()] == ["shop-0.lock"]


def test_an_end_in_the_first_moment_leaves_no_socket_either(
    tmp_path: Path, pool: ConnectionPool[Any]
) -> None:
    for _ in range(20):
        with own_process(tmp_path):
            instrument(pool, app="shop")
        assert list(tmp_path.glob("*.sock")) == []


@pytest.mark.parametrize("whole", [False, True])
def test_a_socket_that_somebody_removes_is_bound_again(
    shop: Process, tmp_path: Path, whole: bool
) -> None:
    """Alone, or with its directory: systemd removes a service's own at each restart."""
    if whole:
        shutil.rmtree(tmp_path)
    else:
        (tmp_path / "shop-0.sock").unlink()
    wait_until(lambda: page_of(tmp_path / "shop-0.sock"), "the page is served again")


def test_a_directory_that_cannot_be_used_is_reported_once_and_tried_again(
    shop: Process, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.rmtree(tmp_path)
    tmp_path.write_text("a file in its place")
    wait_until(lambda: "can't be served" in caplog.text, "it is logged")
    time.sleep(0.5)  # several looks: what must not happen can't be waited for
    assert caplog.text.count("can't be served") == 1
    tmp_path.unlink()
    wait_until(lambda: page_of(tmp_path / "shop-0.sock"), "the page is served again")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/metrics", 200), ("HEAD", "/metrics", 200), ("GET", "/metrics?x=1", 200),
     ("GET", "/", 404), ("HEAD", "/x", 404), ("POST", "/metrics", 405), ("GET", "/../etc", 404)],
)  # fmt: skip
def test_only_the_page_is_served(
    shop: Process, tmp_path: Path, method: str, path: str, status: int
) -> None:
    got, headers, body = request(tmp_path / "shop-0.sock", method, path)
    assert got == status
    if status == 200:
        assert headers["content-type"] == TEXT_CONTENT_TYPE
        assert int(headers["content-length"]) > 1000
        assert (body != "") == (method == "GET")
    else:
        assert "pg_pool" not in body


def connect(path: Path) -> socket.socket:
    reader = socket.socket(socket.AF_UNIX)
    reader.settimeout(5)
    reader.connect(str(path))
    return reader


def test_slow_and_silent_readers_hold_up_no_other(shop: Process, tmp_path: Path) -> None:
    path = tmp_path / "shop-0.sock"
    with ExitStack() as stack:
        silent = [stack.enter_context(connect(path)) for _ in range(3)]
        silent[0].sendall(b"GET /met")
        silent[1].sendall(b"GET /metrics HTTP/1.0\r\n\r\n")  # and reads nothing
        begin = time.monotonic()
        assert page_of(path)
        assert time.monotonic() - begin < within(2)
        assert silent[2].recv(1) == b"", "it is let go"


def test_readers_that_drip_do_not_keep_the_page_from_others_for_long(
    shop: Process, tmp_path: Path
) -> None:
    path = tmp_path / "shop-0.sock"
    stop = threading.Event()

    def drip() -> None:
        with connect(path) as reader:
            while not stop.wait(0.05):
                try:
                    reader.sendall(b"G")
                except OSError:
                    return

    threads = [threading.Thread(target=drip) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(0.1)  # they are there first
        wait_until(lambda: page_of(path), "the page is served", deadline=3)
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_no_more_than_eight_readers_are_served_at_a_time(
    shop: Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes a thread of the application's process."""
    monkeypatch.setattr(server, "READER_SECONDS", 30)
    with ExitStack() as stack:
        served = [stack.enter_context(connect(tmp_path / "shop-0.sock")) for _ in range(8)]
        ninth = stack.enter_context(connect(tmp_path / "shop-0.sock"))
        assert ninth.recv(1) == b"", "it is turned away"
        for reader in served:
            reader.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            assert reader.recv(8) == b"HTTP/1.0"


def test_a_reader_that_drips_is_ended_also_where_it_is_alone(shop: Process, tmp_path: Path) -> None:
    """One deadline for the exchange, not for each byte of it."""
    with connect(tmp_path / "shop-0.sock") as reader:
        begin = time.monotonic()
        with pytest.raises(OSError, match=r"pipe|reset"):  # noqa: PT012 - it ends at any byte
            while time.monotonic() - begin < 10:
                reader.sendall(b"G")
                time.sleep(0.02)
        assert time.monotonic() - begin < 3


@pytest.mark.parametrize(
    "request_text",
    [
        pytest.param(b"x" * 100_000, id="endless line"),
        pytest.param(b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 20_000, id="many headers"),
        pytest.param(b"GET /metrics\r\n\r\n", id="no version"),
        pytest.param(b"\xff\x00\r\n\r\n", id="no HTTP"),
    ],
)
def test_what_is_no_request_of_usual_size_is_refused(
    shop: Process, tmp_path: Path, request_text: bytes
) -> None:
    with connect(tmp_path / "shop-0.sock") as reader:
        with suppress(OSError):  # it has read enough
            reader.sendall(request_text)
        with suppress(OSError):
            assert b"pg_pool" not in reader.recv(1 << 16)
    assert page_of(tmp_path / "shop-0.sock")


def test_a_request_with_an_expectation_gets_the_page_at_once(shop: Process, tmp_path: Path) -> None:
    with connect(tmp_path / "shop-0.sock") as reader:
        reader.sendall(b"GET /metrics HTTP/1.1\r\nExpect: 100-continue\xff\r\n\r\n")
        assert reader.recv(15) == b"HTTP/1.0 200 OK"


def test_a_member_of_the_group_can_have_no_other_files_mode_changed(
    tmp_path: Path, pool: ConnectionPool[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a link in the place of the socket, between its making and the change of its mode."""
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    directory = tmp_path / "sockets"
    bind = socket.socket.bind

    def bind_and_lose(self: socket.socket, address: Any) -> None:
        bind(self, address)
        if self.family == socket.AF_UNIX:
            Path(address).unlink()
            Path(address).symlink_to(secret)

    with own_process(directory):
        monkeypatch.setattr(socket.socket, "bind", bind_and_lose)
        instrument(pool, app="shop")
        time.sleep(0.5)  # what must not happen can't be waited for
        assert secret.stat().st_mode & 0o777 == 0o600
        monkeypatch.undo()
        wait_until(lambda: page_of(directory / "shop-0.sock"), "the page is served")


def _answers(path: Path) -> bool:
    try:
        return request(path)[0] == 200
    except OSError:
        return False


def test_out_of_descriptors_it_waits_for_better_times_without_turning_in_circles(
    shop: Process, tmp_path: Path
) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket(socket.AF_UNIX) as reader:
        reader.settimeout(5)
        first_free = os.dup(0)
        os.close(first_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (first_free, before[1]))
        try:
            reader.connect(str(tmp_path / "shop-0.sock"))
            begin = time.process_time()
            time.sleep(0.5)  # what must not happen can't be waited for
            used = time.process_time() - begin
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        assert used < 0.2
    # Whether it could keep its socket, or had to let go of it, depends on the moment.
    wait_until(lambda: _answers(tmp_path / "shop-0.sock"), "the page is served again")


def test_a_page_that_can_not_be_made_is_answered_so_and_told_once(
    shop: Process, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "shop-0.sock"
    with monkeypatch.context() as patch:
        patch.setattr("pg_pool_exporter.client.process.of_pools", lambda samples: 1 / 0)
        assert [request(path)[0] for _ in range(3)] == [500, 500, 500]
        (record,) = caplog.records
        assert (record.levelname, record.name) == ("ERROR", "pg_pool_exporter.client")
        assert "can't be made" in record.getMessage()
    assert request(path)[0] == 200


def test_a_reader_that_goes_away_is_no_error(
    shop: Process, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="pg_pool_exporter.client")
    with connect(tmp_path / "shop-0.sock") as reader:
        reader.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert page_of(tmp_path / "shop-0.sock")
    assert {record.levelname for record in caplog.records} <= {"DEBUG"}


def test_the_page_is_valid(shop: Process, pool: ConnectionPool[Any], tmp_path: Path) -> None:
    kept = pool.getconn()
    pool.getconn()
    page = page_of(tmp_path / "shop-0.sock")
    assert values(page, "pg_pool_leaked_connections_total") == [1]
    assert values(page, "pg_pool_leaked_slots") == [1]
    assert values(page, "pg_pool_timeouts_total") == [0, 0]
    assert not any("_created" in name for name, _ in series(page))
    pool.putconn(kept)
    require(PROMTOOL.exists(), "promtool")
    checked = subprocess.run(
        [PROMTOOL, "check", "metrics"], input=page, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_hostile_names_make_no_invalid_page(tmp_path: Path, postgres: Cluster) -> None:
    app, name = 'a"b\\\n} 1\r\x85\u2028é\udc80', "x" * 10_000
    with own_process(tmp_path):
        pool: Any = ConnectionPool(postgres.dsn(), min_size=1, open=False)
        instrument(pool, app=app, name=name, server="\n# TYPE x gauge\n")
        wait_until(lambda: any(map(page_of, tmp_path.glob("*.sock"))), "the page is served")
        page = page_of(next(tmp_path.glob("*.sock")))
        assert labels(page, "pg_pool_info", "app") == [app.replace("\udc80", "?")]
        assert labels(page, "pg_pool_info", "pool") == [name]


def test_readers_at_the_same_time_all_get_whole_pages(
    shop: Process, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="pg_pool_exporter.client")
    pages: list[str] = []
    threads = [
        threading.Thread(target=lambda: pages.append(page_of(tmp_path / "shop-0.sock")))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {len(series(page)) for page in pages} == {len(series(shop.own_page()))}
    assert caplog.text == ""
