"""Clients that are slow, many or hostile: what they cost, and that others are still served."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import resource
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import aiohttp
import pytest
import structlog
import trustme
from structlog.typing import EventDict

from pg_pool_exporter.web import handlers
from pg_pool_exporter.web.config import WebConfigFile
from pg_pool_exporter.web.connections import Limits
from support.busy import within
from support.serving import Served, large, resident, serving, state, with_client

GET = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"


async def status_of(session: aiohttp.ClientSession, path: str = "/-/healthy") -> int:
    async with asyncio.timeout(5), session.get(path) as answer:
        return answer.status


async def connect(served: Served, sent: bytes = b"", source: str = "127.0.0.1") -> socket.socket:
    """A connection from an address of the loopback on which `sent` has been sent."""
    connection = socket.socket()
    connection.setblocking(False)
    connection.bind((source, 0))
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, ("127.0.0.1", served.port))
    if sent:
        await loop.sock_sendall(connection, sent)
    return connection


async def received(connection: socket.socket, seconds: float = 5) -> bytes:
    """Everything until the server closes the connection, or resets it."""
    loop, parts = asyncio.get_running_loop(), []
    async with asyncio.timeout(seconds):
        with suppress(ConnectionError):
            while part := await loop.sock_recv(connection, 65536):
                parts.append(part)
    return b"".join(parts)


@contextmanager
def closing(connections: list[socket.socket]) -> Iterator[None]:
    try:
        yield
    finally:
        for connection in connections:
            connection.close()


def lines(logged: list[EventDict]) -> list[str]:
    return [str(line["event"]) for line in logged]


@pytest.mark.parametrize("sent", [b"", b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_more_connections_than_there_are_places_keep_nobody_out(
    sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(served: Served, session: aiohttp.ClientSession) -> None:
        slow = [await connect(served, sent) for _ in range(300)]
        with closing(slow):
            assert await status_of(session) == 200
            other = aiohttp.TCPConnector(local_addr=("127.0.0.2", 0))
            async with aiohttp.ClientSession(connector=other) as elsewhere:
                url = f"http://127.0.0.1:{served.port}/-/healthy"
                async with elsewhere.get(url) as answer:
                    assert answer.status == 200
            assert open_descriptors() < 2 * len(slow)

    with structlog.testing.capture_logs() as logged:
        with_client(test, limits=Limits(connections=32))
    assert caplog.text == ""
    assert len(logged) <= 2, lines(logged)


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def highest_descriptor() -> int:
    """So that, but for gaps, no more can be opened."""
    return max(int(one.name) for one in Path("/proc/self/fd").iterdir())


def test_answers_that_nobody_reads_take_places_of_their_own_address_only() -> None:
    async def test(served: Served, session: aiohttp.ClientSession) -> None:
        served.store.put(state("process", "a", large()))
        slow = [await connect(served, GET, "127.0.0.7") for _ in range(40)]
        with closing(slow):
            await asyncio.sleep(0.2)
            assert await status_of(session) == 200

    with_client(test, limits=Limits(connections=16))


def test_connections_beyond_the_limit_are_one_line_in_the_log_that_adds_them_up() -> None:
    async def test(served: Served, _session: aiohttp.ClientSession) -> None:
        with closing([await connect(served) for _ in range(200)]):
            await asyncio.sleep(0.3)

    with structlog.testing.capture_logs() as logged:
        with_client(test, limits=Limits(connections=8))
    assert len(logged) <= 2, lines(logged)
    assert sum(line["times"] for line in logged) > 150


def test_without_descriptors_the_log_does_not_grow_and_service_comes_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def test(served: Served, session: aiohttp.ClientSession) -> None:
        assert await status_of(session) == 200
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        waiting = [await connect(served) for _ in range(3)]
        late = [socket.socket() for _ in range(5)]
        with closing([*waiting, *late]):
            # The clients have their descriptors; none is left for the server's side.
            resource.setrlimit(resource.RLIMIT_NOFILE, (1 + highest_descriptor(), limits[1]))
            try:
                for one in late:
                    one.setblocking(False)
                    with suppress(BlockingIOError):
                        one.connect(("127.0.0.1", served.port))
                await asyncio.sleep(1)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert await status_of(session) == 200

    with structlog.testing.capture_logs() as logged:
        with_client(test)
    assert caplog.text == ""
    assert len(logged) <= 2, lines(logged)


def test_a_request_that_does_not_arrive_in_time_is_cut_off_however_it_drips() -> None:
    async def test(served: Served, _session: aiohttp.ClientSession) -> None:
        connection = await connect(served, b"GET /metrics HTTP/1.1\r\n")
        loop, started = asyncio.get_running_loop(), time.perf_counter()
        with closing([connection]), suppress(ConnectionError):
            while time.perf_counter() - started < 5:
                await loop.sock_sendall(connection, b"X: y\r\n")
                await asyncio.sleep(0.1)
        assert time.perf_counter() - started < within(3)

    with_client(test, limits=Limits(request=0.3))


def test_a_second_request_on_a_connection_has_the_same_time() -> None:
    async def test(served: Served, _session: aiohttp.ClientSession) -> None:
        connection = await connect(served, b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\nGET")
        with closing([connection]):
            await asyncio.sleep(0.1)
            await asyncio.get_running_loop().sock_sendall(connection, b" /-/")
            assert b"200 OK" in await received(connection)

    with_client(test, limits=Limits(request=0.3))


def test_a_connection_without_a_request_may_wait_for_the_next_one() -> None:
    async def test(served: Served, session: aiohttp.ClientSession) -> None:
        connection = await connect(served, b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
        loop = asyncio.get_running_loop()
        with closing([connection]):
            assert b"200 OK" in await loop.sock_recv(connection, 65536)
            await asyncio.sleep(1.5)
            await loop.sock_sendall(connection, b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"200 OK" in await loop.sock_recv(connection, 65536)

    with_client(test, limits=Limits(request=0.3, answer=0.3))


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/", "/api/v1/findings", "/metrics", "/probe?target=a"])
def test_answers_that_are_not_read_are_not_copied_and_given_up(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers, "document", lambda *_, **__: b"x" * 9_000_000)
    monkeypatch.setattr(handlers, "findings_json", lambda *_: "x" * 9_000_000)

    async def test(served: Served, session: aiohttp.ClientSession) -> None:
        served.store.put(state("server", "a", large()))
        async with session.get(path, headers={"Accept-Encoding": ""}) as answer:
            size = len(await answer.read())
        assert size > 1_000_000
        before = resident()
        request = f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip;q=0\r\n\r\n".encode()
        slow = [await connect(served, request) for _ in range(30)]
        with closing(slow):
            loop = asyncio.get_running_loop()
            for connection in slow:
                await loop.sock_recv(connection, 1)
            assert resident() - before < 8 * size
            await asyncio.sleep(4)
            assert len(await received(slow[0])) < size

    with_client(test, limits=Limits(answer=3.0))


def test_a_client_that_reads_fast_leaves_the_loop_to_others_after_each_piece(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    in_a_row = longest = 0
    write = aiohttp.web.StreamResponse.write

    async def counted(response: aiohttp.web.StreamResponse, data: memoryview) -> None:
        nonlocal in_a_row, longest
        in_a_row += 1
        longest = max(longest, in_a_row)
        await write(response, data)

    async def others() -> None:
        nonlocal in_a_row
        while True:
            in_a_row = 0
            await asyncio.sleep(0)

    def read_all(connection: socket.socket) -> int:
        size = 0
        while part := connection.recv(8 * 1024 * 1024):
            size += len(part)
        return size

    async def test(served: Served, _session: aiohttp.ClientSession) -> None:
        served.store.put(state("process", "a", large()))
        connection = await connect(served)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        connection.setblocking(True)
        reading = asyncio.create_task(asyncio.to_thread(read_all, connection))
        other = asyncio.create_task(others())
        connection.sendall(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert await reading > 8 * 1024 * 1024
        other.cancel()
        connection.close()

    monkeypatch.setattr(aiohttp.web.StreamResponse, "write", counted)
    with_client(test)
    assert longest == 1


def test_pipelined_requests_whose_answers_are_not_read_are_given_up() -> None:
    async def test(served: Served, _session: aiohttp.ClientSession) -> None:
        connection = await connect(served)
        request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
        loop, started = asyncio.get_running_loop(), time.perf_counter()
        with closing([connection]), suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(10):
                while True:
                    await loop.sock_sendall(connection, request * 100)
        assert time.perf_counter() - started < within(5)

    with_client(test, limits=Limits(answer=0.5))


@pytest.mark.parametrize("path", ["/metrics", "/-/healthy", "/"])
def test_a_client_that_sends_no_more_still_gets_its_answer(path: str) -> None:
    async def test(served: Served, _session: aiohttp.ClientSession) -> None:
        connection = await connect(served, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        with closing([connection]):
            connection.shutdown(socket.SHUT_WR)
            answer = await received(connection, 3)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")

    with_client(test)


def test_requests_behind_each_other_are_answered_before_a_half_closed_connection_ends() -> None:
    async def test(served: Served, _session: aiohttp.ClientSession) -> None:
        connection = await connect(served, GET * 3)
        with closing([connection]):
            connection.shutdown(socket.SHUT_WR)
            answer = await received(connection, 3)
        assert answer.count(b"HTTP/1.1 200 OK\r\n") == 3

    with_client(test)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\nExpect: \xff\xfe\r\n\r\n", 417),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\nExpect: \x1b[31mred\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\nExpect: 200-maybe\r\n\r\n", 417),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n", 200),
        (b"GET /%zz%ff HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /probe?target=%ff%00%zz HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET /probe?" + b"&" * 7000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET http://other.example/metrics HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"GET metrics HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET //metrics HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET http://[::1/metrics HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET http://x:99999999/metrics HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"CONNECT other.example:443 HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"TRACE /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"BREW /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /metrics\r\n\r\n", 505),
        (b"GET /metrics HTTP/2.0\r\nHost: x\r\n\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: \xff\xff\r\n\r\n", 200),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nab", 200),
        (
            b"POST /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            400,
        ),
        (
            b"POST / HTTP/1.0\r\nContent-Encoding: deflate\r\nContent-Length: 5\r\n\r\nxxxxx",
            405,
        ),
        (
            b"GET /metrics HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            200,
        ),
    ],
)
def test_odd_requests_get_a_clear_answer_and_leave_nothing_in_the_log(
    sent: bytes, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(served: Served, session: aiohttp.ClientSession) -> None:
        connection = await connect(served, sent)
        with closing([connection]):
            connection.shutdown(socket.SHUT_WR)
            answer = await received(connection, 8)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.split(b" ")[1] == str(status).encode(), answer[:200]
        assert b"\x1b" not in answer
        assert b"aiohttp" not in head
        assert b"Python" not in head
        assert status == 200 or len(body) < 500
        assert await status_of(session) == 200

    with structlog.testing.capture_logs() as logged:
        with_client(test)
    assert caplog.text == ""
    assert logged == []


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /api/v1/findings HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /probe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /-/ready HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /-/reload HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n",
        b"nonsense\r\n\r\n",
    ],
)
def test_no_answer_may_be_kept_guessed_at_or_names_its_software(sent: bytes) -> None:
    async def test(served: Served, _session: aiohttp.ClientSession) -> None:
        connection = await connect(served, sent)
        with closing([connection]):
            connection.shutdown(socket.SHUT_WR)
            head = (await received(connection)).partition(b"\r\n\r\n")[0].decode().lower()
        headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:])
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in headers

    with_client(test)


def test_the_page_runs_its_own_script_alone_and_is_shown_in_no_frame() -> None:
    async def test(_served: Served, session: aiohttp.ClientSession) -> None:
        async with session.get("/", headers={"Accept-Encoding": "identity"}) as answer:
            policy = answer.headers["Content-Security-Policy"]
            (script,) = re.findall(r"<script>(.*?)</script>", await answer.text(), re.DOTALL)
        directives = dict(one.strip().split(" ", 1) for one in policy.split(";"))
        assert directives["default-src"] == "'none'"
        assert directives["frame-ancestors"] == "'none'"
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert directives["script-src"] == f"'sha256-{digest}'"
        assert directives["connect-src"] == "'self'"

    with_client(test)


def test_a_fault_of_ours_is_logged_once_a_minute_and_shows_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unpolled() -> list[str]:
        raise ValueError("secret")

    async def test(_served: Served, session: aiohttp.ClientSession) -> None:
        for _ in range(20):
            async with session.get("/-/ready") as answer:
                assert answer.status == 500
                assert "secret" not in await answer.text()

    with structlog.testing.capture_logs() as logged:
        with_client(test, unpolled=unpolled)
    assert [line["log_level"] for line in logged][:1] == ["error"]
    assert len(logged) <= 2


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost"}, 200),
        ({"Host": "LOCALHOST:10432"}, 200),
        ({"Host": "[::1]:10432"}, 200),
        ({"Host": "192.0.2.1"}, 200),
        ({"Host": socket.gethostname()}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "evil.example:10432"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "[::1].evil.example"}, 403),
        ({"Host": ""}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": "http://evil.example", "Host": "evil.example"}, 403),
        ({"Origin": "http://localhost:10432", "Host": "localhost:10432"}, 200),
        ({"Origin": "http://localhost:3000", "Host": "localhost:10432"}, 403),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_other_web_pages_can_not_have_the_configuration_loaded(
    headers: dict[str, str], status: int, method: str
) -> None:
    reloads = []

    async def reload() -> bool:
        reloads.append(1)
        return True

    async def test(_served: Served, session: aiohttp.ClientSession) -> None:
        async with session.request(method, "/-/reload", headers=headers) as answer:
            assert answer.status == status
        assert len(reloads) == (status == 200)

    with_client(test, reload=reload)


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02\x00", GET])
def test_a_tls_handshake_has_a_time_and_a_place_like_a_request(
    sent: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    file = tmp_path / "web.yml"
    (tmp_path / "key.pem").chmod(0o600)
    file.write_text("tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n")
    file.chmod(0o600)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    async def main() -> None:
        limits = Limits(connections=16, request=1.0)
        async with serving(config=WebConfigFile(file), limits=limits) as served:
            slow = [await connect(served, sent) for _ in range(60)]
            with closing(slow):
                async with (
                    asyncio.timeout(5),
                    aiohttp.ClientSession() as session,
                    session.get(
                        f"https://127.0.0.1:{served.port}/-/healthy", ssl=trusting
                    ) as answer,
                ):
                    assert answer.status == 200
                await received(slow[-1], 3)
            # In the middle of a handshake when the server stops.
            stays = await connect(served)
        stays.close()

    with structlog.testing.capture_logs() as logged:
        asyncio.run(main())
    assert caplog.text == ""
    assert {line["event"] for line in logged} <= {
        "connections closed: more clients than the limit allows"
    }
