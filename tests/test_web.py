"""What is answered over HTTP, and to whom."""

from __future__ import annotations

import asyncio
import gzip
import socket
import threading
import time
from html.parser import HTMLParser
from types import SimpleNamespace

import aiohttp
import pytest

from pg_pool_exporter.analysis import analyzer
from pg_pool_exporter.analysis.analyzer import Analyzer
from pg_pool_exporter.model import Kind, TargetId
from pg_pool_exporter.web.paths import FINDINGS_PATH
from pg_pool_exporter.web.server import ListenError, parse_address
from support.busy import within
from support.serving import Served, large, resident, serving, state, with_client
from support.sources import snapshot

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def test_metrics_are_text_by_default_and_openmetrics_on_request() -> None:
    async def test(served: Served, session: aiohttp.ClientSession) -> None:
        async with session.get("/metrics", headers={"Accept-Encoding": ""}) as answer:
            assert answer.headers["Content-Type"] == TEXT
            assert "Accept" in answer.headers["Vary"]
            assert await answer.read() == served.exposition.plain(openmetrics=False)
        accept = {"Accept": "application/openmetrics-text;version=1.0.0", "Accept-Encoding": ""}
        async with session.get("/metrics", headers=accept) as answer:
            assert answer.headers["Content-Type"] == OPENMETRICS
            assert (await answer.read()).endswith(b"# EOF\n")

    with_client(test)


@pytest.mark.parametrize("encoding", ["gzip", "", "gzip;q=0"])
def test_head_has_the_length_that_get_sends(encoding: str) -> None:
    async def test(served: Served, session: aiohttp.ClientSession) -> None:
        served.store.put(state("process", "a", snapshot("orders/main/web:0")))
        headers = {"Accept-Encoding": encoding}
        async with session.get("/metrics", headers=headers) as got:
            body = await got.read()
        async with session.head("/metrics", headers=headers) as head:
            assert await head.read() == b""
        assert head.status == got.status == 200
        assert int(head.headers["Content-Length"]) == int(got.headers["Content-Length"])
        assert len(body) == int(got.headers["Content-Length"])
        assert got.headers.get("Content-Encoding") == ("gzip" if encoding == "gzip" else None)
        page = gzip.decompress(body) if encoding == "gzip" else body
        assert page == served.exposition.plain(openmetrics=False)

    with_client(test)


def test_a_page_of_megabytes_arrives_whole() -> None:
    async def test(served: Served, session: aiohttp.ClientSession) -> None:
        served.store.put(state("process", "a", large()))
        for encoding in ("", "gzip"):
            async with session.get("/metrics", headers={"Accept-Encoding": encoding}) as answer:
                body = await answer.read()
            page = gzip.decompress(body) if encoding else body
            assert page == served.exposition.plain(openmetrics=False)

    with_client(test)


def test_clients_that_do_not_read_their_answers_hold_up_nobody_and_cost_no_copies() -> None:
    async def test(served: Served, session: aiohttp.ClientSession) -> None:
        served.store.put(state("process", "a", large()))
        size = len(served.exposition.plain(openmetrics=False))
        before = resident()
        slow = [await _begun(served) for _ in range(30)]
        started = time.perf_counter()
        async with session.head("/metrics") as answer:
            assert answer.status == 200
        assert time.perf_counter() - started < within(1)
        assert resident() - before < 5 * size
        for connection in slow:
            connection.close()

    with_client(test)


async def _begun(served: Served) -> socket.socket:
    """A connection on which an answer has begun to arrive, and is not read any further."""
    connection = socket.create_connection(("127.0.0.1", served.port))
    connection.setblocking(False)
    connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    await asyncio.get_running_loop().sock_recv(connection, 1)
    return connection


def test_clients_that_hang_up_leave_nothing_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def test(served: Served, session: aiohttp.ClientSession) -> None:
        served.store.put(state("process", "a", large()))
        for _ in range(5):
            # Unread bytes make the system send a reset instead of an end.
            (await _begun(served)).close()
        async with session.get("/-/healthy") as answer:
            assert answer.status == 200
        assert caplog.text == ""

    with_client(test)


@pytest.mark.parametrize("turns", range(4))
def test_a_client_that_hangs_up_just_before_its_answer_leaves_nothing_in_the_log(
    turns: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(served: Served, session: aiohttp.ClientSession) -> None:
        connection = socket.create_connection(("127.0.0.1", served.port))

        async def page(*, openmetrics: bool, compressed: bool) -> bytes:
            connection.close()
            # In one turn of the loop the server sees that, and some later it knows.
            for _ in range(turns):
                await asyncio.sleep(0)
            return b"page"

        with monkeypatch.context() as patch:
            patch.setattr(served.exposition, "page", page)
            connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n")
            async with asyncio.timeout(5):
                while connection.fileno() >= 0:  # noqa: ASYNC110 - there is no event for it
                    await asyncio.sleep(0.01)
        async with session.get("/metrics") as answer:
            assert answer.status == 200
        assert caplog.text == ""

    with_client(test)


def test_the_process_is_healthy_while_it_runs() -> None:
    async def test(_served: Served, session: aiohttp.ClientSession) -> None:
        async with session.get("/-/healthy") as answer:
            assert answer.status == 200

    with_client(test, unpolled=lambda: ["main"])


def test_it_is_not_ready_until_each_target_has_been_polled_and_says_which_not() -> None:
    waiting = [f"orders-{number}" for number in range(25)]

    async def test(_served: Served, session: aiohttp.ClientSession) -> None:
        async with session.get("/-/ready") as answer:
            assert answer.status == 503
            text = await answer.text()
            assert "orders-0, orders-1, " in text
            assert "and 5 more" in text
        waiting.clear()
        async with session.get("/-/ready") as answer:
            assert answer.status == 200

    with_client(test, unpolled=lambda: waiting)


def test_it_is_not_ready_while_no_target_has_ever_answered() -> None:
    async def test(served: Served, session: aiohttp.ClientSession) -> None:
        async def ready() -> int:
            async with session.get("/-/ready") as answer:
                return answer.status

        assert await ready() == 200  # nothing is configured: nothing is missing
        served.store.put(state("server", "main", polls=3, reason="auth"))
        served.store.put(state("process", "web", polls=3, reason="refused"))
        assert await ready() == 503
        served.store.put(state("process", "web", up=True, polls=4, last_success=1.7e9))
        assert await ready() == 200
        served.store.remove(TargetId("process", "web"))
        assert await ready() == 200

    with_client(test)


class Links(HTMLParser):
    """The links of a page, and what else it would load."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "href" and tag == "a":
                self.links.append(value or "")
            elif name in ("src", "href"):
                self.loaded.append(value or "")


def test_what_is_kept_ages_while_the_analysis_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(served: Served, session: aiohttp.ClientSession) -> None:
        served.store.put(state("server", "main", up=True, polls=1, last_success=1.7e9))
        served.analyzer.update()
        for late, words in ((None, None), (125.0, "is 2 min old"), (430.0, "is 7 min old")):
            monkeypatch.setattr(Analyzer, "lateness", late)
            async with session.get("/", headers={"Accept-Encoding": ""}) as answer:
                text = await answer.text()
            assert words in text if words else "the analysis hangs" not in text
            async with session.get(FINDINGS_PATH, headers={"Accept-Encoding": ""}) as answer:
                verdicts = {one["verdict"] for one in (await answer.json())["checks"]}
            assert ("fine" in verdicts) is (late is None)

    with_client(test)


def test_old_analyses_are_freed_beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    freed: list[threading.Thread] = []

    class Moment(float):
        def __del__(self) -> None:
            freed.append(threading.current_thread())

    clock = SimpleNamespace(time=lambda: Moment(time.time()), thread_time=time.thread_time)
    monkeypatch.setattr(analyzer, "time", clock)

    async def test(served: Served, session: aiohttp.ClientSession) -> None:
        for _ in range(4):
            await asyncio.to_thread(served.analyzer.update)
            for path in ("/", "/?refresh=off", FINDINGS_PATH, "/metrics"):
                for encoding in ("gzip", "identity"):
                    async with session.get(path, headers={"Accept-Encoding": encoding}) as answer:
                        await answer.read()

    with_client(test)
    assert len(freed) >= 3
    assert threading.main_thread() not in freed[:3]


def test_the_page_links_to_everything_and_escapes_names() -> None:
    async def test(served: Served, session: aiohttp.ClientSession) -> None:
        served.store.put(state("server", "main", up=True, polls=1, last_success=1.7e9))
        served.store.put(state("process", "<script>alert(1)</script>", polls=3))
        served.store.put(state("app", "new"))
        served.analyzer.update()
        async with session.get("/", headers={"Accept-Encoding": ""}) as answer:
            assert answer.content_type == "text/html"
            text = await answer.text()
        assert "<script>alert" not in text
        assert "&lt;script&gt;" in text
        page = Links()
        page.feed(text)
        assert page.loaded == []
        for link in (one for one in page.links if one.startswith("/")):
            async with session.get(link) as answer:
                assert answer.status == 200
        assert "/pools/metrics" in page.links

    with_client(test, telemetry_path="/pools/metrics")


def test_a_probe_shows_one_target_of_the_configuration_from_memory() -> None:
    async def test(served: Served, session: aiohttp.ClientSession) -> None:
        served.store.put(state("app", "web:1", snapshot("orders/a/web:1"), "orders", up=True))
        served.store.put(state("app", "web:2", snapshot("orders/b/web:2"), "orders", up=True))
        served.store.put(state("server", "main", up=True))
        async with session.get("/probe?target=orders") as answer:
            text = await answer.text()
            assert answer.headers["Content-Type"] == TEXT
        assert 'pool="a"' in text
        assert 'pool="b"' in text
        assert 'target="main"' not in text
        async with session.get("/probe", params={"target": "orders@web:2"}) as answer:
            text = await answer.text()
        assert 'pool="a"' not in text
        assert 'pool="b"' in text

    with_client(test)


@pytest.mark.parametrize("kind", ["server", "bouncer"])
def test_a_probe_shows_what_else_the_configuration_names(kind: Kind) -> None:
    async def test(served: Served, session: aiohttp.ClientSession) -> None:
        served.store.put(state(kind, "edge", up=True))
        async with session.get("/probe?target=edge") as answer:
            assert f'pg_{kind}_up{{{kind}="edge"}} 1' in await answer.text()

    with_client(test)


@pytest.mark.parametrize("query", ["", "?target="])
def test_a_probe_of_nothing_says_what_is_missing(query: str) -> None:
    async def test(_served: Served, session: aiohttp.ClientSession) -> None:
        async with session.get(f"/probe{query}") as answer:
            assert answer.status == 400
            assert "target is missing" in await answer.text()

    with_client(test)


@pytest.mark.parametrize("query", ["?target=<b>no</b>", "?target=orders-0"])
def test_a_probe_of_what_the_configuration_does_not_name_is_refused(query: str) -> None:
    async def test(served: Served, session: aiohttp.ClientSession) -> None:
        served.store.put(state("process", "orders-0"))
        async with session.get(f"/probe{query}") as answer:
            assert answer.status == 404
            text = await answer.text()
        assert "no target of that name" in text
        assert "<b>" not in text

    with_client(test)


def test_nobody_reloads_over_http_unless_it_is_enabled() -> None:
    async def test(_served: Served, session: aiohttp.ClientSession) -> None:
        async with session.post("/-/reload") as answer:
            assert answer.status == 403
            assert "--web.enable-lifecycle" in await answer.text()

    with_client(test)


@pytest.mark.parametrize(("successful", "status"), [(True, 200), (False, 500)])
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_reload_answers_whether_it_worked(method: str, successful: bool, status: int) -> None:
    async def reload() -> bool:
        return successful

    async def test(_served: Served, session: aiohttp.ClientSession) -> None:
        async with session.request(method, "/-/reload") as answer:
            assert answer.status == status
        async with session.get("/-/reload") as answer:
            assert answer.status == 405

    with_client(test, reload=reload)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/metrics/", 404),
        ("GET", "/../../etc/passwd", 404),
        ("POST", "/metrics", 405),
        ("DELETE", "/", 405),
        ("OPTIONS", "/metrics", 405),
    ],
)
def test_other_requests_are_refused(method: str, path: str, status: int) -> None:
    async def test(_served: Served, session: aiohttp.ClientSession) -> None:
        async with session.request(method, path) as answer:
            assert answer.status == status

    with_client(test)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: x\r\n" + b"X: x\r\n" * 10_000 + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"not http at all\r\n\r\n",
    ],
    ids=["long header", "long path", "many headers", "tls", "garbage"],
)
def test_requests_without_bounds_or_sense_are_cut_off_and_leave_nothing_in_the_log(
    request_bytes: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(served: Served, session: aiohttp.ClientSession) -> None:
        answer = await served.raw(request_bytes)
        assert b" 400 " in answer.partition(b"\r\n")[0]
        async with session.get("/metrics") as good:
            assert good.status == 200
        assert caplog.text == ""

    with_client(test)


def test_it_serves_on_each_address() -> None:
    async def main() -> list[int]:
        statuses = []
        async with serving("127.0.0.1:0", "[::1]:0", "localhost:0") as served:
            for address in served.addresses:
                url = f"http://{address}/metrics"
                async with aiohttp.ClientSession() as session, session.get(url) as answer:
                    statuses.append(answer.status)
        return statuses

    assert set(asyncio.run(main())) == {200}


def test_an_address_that_is_taken_is_named() -> None:
    async def main() -> None:
        async with serving() as served:
            taken = f"127.0.0.1:{served.port}"
            with pytest.raises(ListenError, match=rf"{taken}: .*in use"):
                async with serving("127.0.0.1:0", taken):
                    pass

    asyncio.run(main())


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (":10432", (None, 10432)),
        ("127.0.0.1:9", ("127.0.0.1", 9)),
        ("[::1]:9", ("::1", 9)),
        ("db.example:10432", ("db.example", 10432)),
    ],
)
def test_listen_addresses_are_written_as_for_prometheus(
    text: str, address: tuple[str | None, int]
) -> None:
    parsed = parse_address(text)
    assert parsed == address
    assert str(parsed) == text


@pytest.mark.parametrize(
    "text", ["", "10432", "::1:9", "[::1]", "[x]:9", "h:65536", "h:-1", "h:", "h:p", "http://h:9"]
)
def test_other_listen_addresses_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be HOST:PORT"):
        parse_address(text)
