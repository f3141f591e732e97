"""Reading pages over HTTP: from good processes, from hostile ones, and from none."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic, thread_time
from typing import Any

import pytest
import trustme

from pg_pool_exporter.model import Snapshot
from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.pages.socket_source import SocketSource
from pg_pool_exporter.sources.pages.text_source import ExpositionTextSource
from support import pages
from support.busy import within
from support.pages import MIB, Answer, Served, answer, good_page, head, pool, raw, serving

TEXT = "Content-Type: text/plain"


@pytest.fixture(params=["socket", "port"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    """Where to serve: a unix socket, or a port of the loopback."""
    return tmp_path / "orders-0.sock" if request.param == "socket" else None


@asynccontextmanager
async def reading(
    answer: Answer, place: Path | None
) -> AsyncIterator[tuple[ExpositionTextSource | SocketSource, Served]]:
    """A server, and a source that reads it."""
    async with serving(answer, place) as served:
        source = served.source()
        try:
            yield source, served
        finally:
            await source.close()


async def poll_once(answer: Answer, place: Path | None) -> Snapshot:
    """One poll, as the poller does it."""
    async with reading(answer, place) as (source, _), asyncio.timeout(5):
        return await source.poll()


def failure(answer: Answer, place: Path | None) -> PollError:
    """How the poll fails."""
    with pytest.raises(PollError) as caught:
        asyncio.run(poll_once(answer, place))
    return caught.value


GOOD = [
    pytest.param(pages.good, id="as our client sends it"),
    pytest.param(answer(good_page()), id="without a content type"),
    pytest.param(
        answer(good_page() + b"# EOF\n", "Content-Type: application/openmetrics-text"),
        id="as OpenMetrics",
    ),
    pytest.param(
        answer(gzip.compress(good_page()), TEXT, "Content-Encoding: gzip"), id="compressed"
    ),
    pytest.param(
        answer(
            gzip.compress(good_page()[:99]) + gzip.compress(good_page()[99:]),
            TEXT,
            "Content-Encoding: gzip",
        ),
        id="compressed in two parts",
    ),
    pytest.param(
        raw(head(TEXT, "Connection: close") + good_page()), id="until the connection ends"
    ),
    pytest.param(
        raw(
            head(TEXT, "Transfer-Encoding: chunked")
            + b"%x\r\n%b\r\n0\r\n\r\n" % (len(good_page()), good_page())
        ),
        id="in chunks",
    ),
    pytest.param(
        raw(
            head(TEXT, "Transfer-Encoding: chunked")
            + b"%x\r\n%b\r\n" % (len(good_page()), good_page())
            + b"".join(b'24\r\nhttp_requests_total{path="%05d"} 1\n\r\n' % n for n in range(25_000))
            + b"0\r\n\r\n"
        ),
        id="in a chunk for each of 25,000 lines",
    ),
]


def test_a_source_that_was_closed_connects_anew_when_it_is_polled_again(place: Path | None) -> None:
    async def scenario() -> None:
        async with reading(pages.good, place) as (source, served):
            await source.close()
            await source.poll()
            await source.close()
            assert (await source.poll()).pools
            assert len(served.peers) == 2

    asyncio.run(scenario())


@pytest.mark.parametrize("answer", GOOD)
def test_a_page_is_read(answer: Answer, place: Path | None) -> None:
    assert asyncio.run(poll_once(answer, place)).pools == (pool(),)


def test_a_page_is_read_again_and_again(place: Path | None) -> None:
    async def scenario() -> list[Snapshot]:
        async with reading(pages.good, place) as (source, _):
            return [await source.poll() for _ in range(3)]

    assert [snapshot.pools for snapshot in asyncio.run(scenario())] == [(pool(),)] * 3


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(pages.good, id="kept open"),
        pytest.param(answer(good_page(), TEXT, "Connection: close"), id="closed at once"),
    ],
)
def test_it_is_reported_at_which_address_the_page_was_read(
    answer: Answer, place: Path | None
) -> None:
    async def scenario() -> list[Snapshot]:
        async with reading(answer, place) as (source, served):
            found = [await source.poll(), await source.poll()]
            # By a name that has several addresses it is the one that answered.
            named = ExpositionTextSource(served.url.replace("127.0.0.1", "localhost"))
            if place is None:
                found.append(await named.poll())
            await named.close()
            return found

    found = {snapshot.address for snapshot in asyncio.run(scenario())}
    assert found == {None if place is not None else "127.0.0.1"}


def test_a_large_page_is_read(place: Path | None) -> None:
    pools = tuple(pool(name=f"pool-{number}") for number in range(100))
    large = answer(pages.page_of(*pools), TEXT)
    assert asyncio.run(poll_once(large, place)).pools == pools


BAD = [
    pytest.param(raw(b"\x00\xff garbage\r\n\r\n" * 100), "protocol", "not valid", id="garbage"),
    pytest.param(raw(b""), "protocol", "closed", id="end instead of an answer"),
    pytest.param(pages.hang_up, "protocol", "closed", id="reset instead of an answer"),
    pytest.param(pages.half_page, "protocol", "", id="reset in the middle of the page"),
    pytest.param(
        raw(head(TEXT, "Content-Length: 9999") + good_page()),
        "protocol",
        "ended too early",
        id="shorter than it says",
    ),
    pytest.param(
        raw(head(TEXT, "Transfer-Encoding: chunked") + b"zz\r\n" + good_page()),
        "protocol",
        "",
        id="broken chunks",
    ),
    pytest.param(pages.body_of(None), "too_large", "4 MiB", id="endless body"),
    pytest.param(
        pages.body_of(None, "Transfer-Encoding: identity", line=b"x" * 4096),
        "too_large",
        "4 MiB",
        id="endless line",
    ),
    pytest.param(
        pages.body_of(100 * MIB, f"Content-Length: {100 * MIB}"),
        "too_large",
        "4 MiB",
        id="100 MiB, announced",
    ),
    pytest.param(pages.body_of(100 * MIB), "too_large", "4 MiB", id="100 MiB, not announced"),
    pytest.param(
        answer(pages.gzip_bomb(), TEXT, "Content-Encoding: gzip"),
        "too_large",
        "4 MiB",
        id="compressed bomb",
    ),
    pytest.param(
        answer(gzip.compress(good_page())[:-20], TEXT, "Content-Encoding: gzip"),
        "protocol",
        "gzip",
        id="truncated gzip",
    ),
    pytest.param(
        answer(good_page(), TEXT, "Content-Encoding: gzip"), "protocol", "gzip", id="not gzip"
    ),
    pytest.param(
        answer(gzip.compress(b"") * 100_000, TEXT, "Content-Encoding: gzip"),
        "protocol",
        "more than 100 parts",
        id="100,000 compressed parts",
    ),
    pytest.param(
        answer(good_page(), TEXT, "Content-Encoding: br"),
        "protocol",
        "content encoding",
        id="another compression",
    ),
    pytest.param(
        raw(head(TEXT, "X-Large: " + "x" * MIB)), "too_large", "header", id="header of 1 MiB"
    ),
    pytest.param(
        raw(head(TEXT, *[f"X-Many-{number}: x" for number in range(50_000)])),
        "protocol",
        "headers",
        id="50,000 headers",
    ),
    pytest.param(
        answer(b"", "Location: http://elsewhere.example/metrics", status="302 Found"),
        "protocol",
        "redirects to another host",
        id="redirect to another host",
    ),
    pytest.param(
        answer(b"", "Location: https://127.0.0.1/metrics", status="308 Moved"),
        "protocol",
        "redirects to another host",
        id="redirect to another scheme",
    ),
    pytest.param(
        answer(b"", "Location: http://[::1", status="301 Moved"),
        "protocol",
        "without a valid location",
        id="redirect to no address",
    ),
    pytest.param(
        answer(b"", status="303 See"),
        "protocol",
        "without a valid location",
        id="redirect without any",
    ),
    pytest.param(
        answer(b"", "Location: /metrics", status="302 Found"),
        "protocol",
        "more than 3 redirects",
        id="redirect in a circle",
    ),
    pytest.param(
        raw(head(TEXT) + good_page()[:-9]), "protocol", "middle of a line", id="half a line"
    ),
    pytest.param(
        answer(good_page(), "Content-Type: application/openmetrics-text; version=1.0.0"),
        "protocol",
        "# EOF",
        id="OpenMetrics without its end",
    ),
    pytest.param(
        answer(
            gzip.compress(good_page()),
            "Content-Type: application/openmetrics-text",
            "Content-Encoding: gzip",
        ),
        "protocol",
        "# EOF",
        id="compressed OpenMetrics without its end",
    ),
    pytest.param(
        raw(head(status="100 Continue") * 100_000 + head(TEXT)),
        "protocol",
        "interim",
        id="100,000 interim answers",
    ),
    pytest.param(pages.provisional, "protocol", "interim", id="interim answers without end"),
    pytest.param(answer(b"", status="500 No"), "protocol", "status 500", id="server error"),
    pytest.param(answer(b"", status="401 Who"), "auth", "status 401", id="not let in"),
    pytest.param(
        answer(b"<html>", "Content-Type: text/html"), "protocol", "content type", id="a web page"
    ),
    pytest.param(answer(b"pg_pool_waiting_requests{\n", TEXT), "protocol", "line 1", id="no page"),
    pytest.param(answer(good_page() * 2, TEXT), "protocol", "twice", id="duplicates"),
]


@pytest.mark.parametrize(("answer", "reason", "message"), BAD)
def test_a_bad_answer_fails_with_its_reason(
    answer: Answer, reason: str, message: str, place: Path | None
) -> None:
    started = monotonic()
    error = failure(answer, place)
    assert (error.reason, message in str(error)) == (reason, True), str(error)
    assert monotonic() - started < within(3)


def test_no_more_than_the_limit_is_read_of_an_endless_page(place: Path | None) -> None:
    async def scenario() -> int:
        async with reading(pages.body_of(None), place) as (source, served):
            with pytest.raises(PollError, match="4 MiB"):
                await source.poll()
            return served.sent

    # What lies in the buffers of both ends comes on top.
    assert asyncio.run(scenario()) < 16 * MIB


def test_a_compressed_bomb_is_not_unpacked_in_memory() -> None:
    bomb = answer(pages.gzip_bomb(), TEXT, "Content-Encoding: gzip")
    tracemalloc.start()
    try:
        assert failure(bomb, None).reason == "too_large"
        assert tracemalloc.get_traced_memory()[1] < 20 * MIB
    finally:
        tracemalloc.stop()


HANGING = [
    pytest.param(pages.nothing, id="nothing"),
    pytest.param(pages.drip, id="slow drip"),
]


@pytest.mark.parametrize("answer", HANGING)
def test_a_poll_ends_at_its_deadline(answer: Answer, place: Path | None) -> None:
    async def scenario() -> float:
        async with reading(answer, place) as (source, served):
            started = monotonic()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await source.poll()
            took = monotonic() - started
            # The connection is closed too, so hung processes don't collect any.
            async with asyncio.timeout(2):
                await served.peers[0].done.wait()
            return took

    assert asyncio.run(scenario()) < within(1)


def test_interim_answers_do_not_hold_up_the_loop() -> None:
    """Not even those that are in the buffer at once."""
    flood = raw(head(status="102 Processing") * 100_000)

    async def scenario() -> float:
        longest = 0.0

        async def tick() -> None:
            nonlocal longest
            while True:
                before = thread_time()
                await asyncio.sleep(0)
                longest = max(longest, thread_time() - before)

        async with reading(flood, None) as (source, _):
            ticking = asyncio.create_task(tick())
            with pytest.raises(PollError):
                await source.poll()
            ticking.cancel()
        return longest

    assert asyncio.run(scenario()) < 0.05


def test_a_few_interim_answers_are_passed_over() -> None:
    few = raw(head(status="103 Early Hints") * 3 + head(TEXT) + good_page())
    assert asyncio.run(poll_once(few, None)).pools


def test_a_redirect_to_another_port_is_not_followed() -> None:
    async def scenario() -> int:
        async with serving(pages.good) as other:
            away = answer(b"", f"Location: {other.url}", status="301 Moved")
            with pytest.raises(PollError, match="not followed"):
                await poll_once(away, None)
            return len(other.peers)

    assert asyncio.run(scenario()) == 0


def test_a_redirect_on_the_same_host_is_followed(place: Path | None) -> None:
    """As a web framework answers that has the page mounted at /metrics/."""

    async def mounted(peer: pages.Peer) -> None:
        while True:
            if b"GET /metrics/ " in await peer.request():
                await peer.send(head(TEXT, f"Content-Length: {len(good_page())}") + good_page())
            else:
                await peer.send(head("Location: /metrics/", "Content-Length: 0", status="307 No"))

    assert asyncio.run(poll_once(mounted, place)).pools == (pool(),)


def test_cookies_and_proxies_of_the_environment_are_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    heads: list[bytes] = []

    async def remember(peer: pages.Peer) -> None:
        heads.append(await peer.request())
        await peer.send(head(TEXT, "Set-Cookie: a=b", "Content-Length: 0"))

    async def scenario() -> None:
        async with reading(remember, None) as (source, _):
            await source.poll()
            await source.poll()

    asyncio.run(scenario())
    assert len(heads) == 2
    assert not any(b"cookie" in head.lower() for head in heads)


def test_nothing_of_a_hostile_answer_is_in_the_error(place: Path | None) -> None:
    for hostile in (
        raw(b"HTTP/1.1 200 s3cret\r\ns3cret\r\n\r\n"),
        raw(head(TEXT, "X: " + "s3cret" * 9999)),
        answer(b"", "Content-Type: s3cret/s3cret"),
        answer(b"", "Content-Encoding: s3cret"),
        answer(b"pg_pool_waiting_requests{s3cret} s3cret\n"),
    ):
        assert "s3cret" not in str(failure(hostile, place))


def test_other_targets_are_read_on_time_while_hostile_ones_are_polled(tmp_path: Path) -> None:
    """Every bad and every hanging answer at once, beside one good process."""
    hostile: list[Any] = [case.values[0] for case in (*BAD, *HANGING)]

    async def attempt(answer: Answer, path: Path) -> None:
        async with reading(answer, path) as (source, _):
            with pytest.raises((PollError, TimeoutError)):
                async with asyncio.timeout(3):
                    await source.poll()

    async def scenario() -> float:
        slowest = 0.0
        async with (
            reading(pages.good, tmp_path / "good.sock") as (good, _),
            asyncio.TaskGroup() as group,
        ):
            tasks = [
                group.create_task(attempt(case, tmp_path / f"{number}.sock"))
                for number, case in enumerate(hostile)
            ]
            while not all(task.done() for task in tasks):
                started = monotonic()
                assert (await good.poll()).pools == (pool(),)
                slowest = max(slowest, monotonic() - started)
        return slowest

    # The hostile servers run in this loop too, and take most of the time.
    assert asyncio.run(scenario()) < within(1)


def test_a_certificate_that_nobody_vouches_for_is_not_accepted() -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)

    async def scenario() -> None:
        async with serving(pages.good, tls=tls) as served:
            source = served.source()
            try:
                await source.poll()
            finally:
                await source.close()

    with pytest.raises(PollError, match="certificate") as caught:
        asyncio.run(scenario())
    assert caught.value.reason == "protocol"


def test_nobody_listening_at_a_port_is_refused() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        source = ExpositionTextSource(f"http://127.0.0.1:{unused.getsockname()[1]}/metrics")

        async def scenario() -> None:
            try:
                await source.poll()
            finally:
                await source.close()

        with pytest.raises(PollError, match="not connected") as caught:
            asyncio.run(scenario())
    assert caught.value.reason == "refused"


@pytest.mark.parametrize(
    "host",
    [
        "no-such-host.invalid",
        "xn--\N{LATIN SMALL LETTER E WITH ACUTE}",
        "\xe9" * 60,
        "[fe80::1%25lo]",
    ],
    ids=["unknown", "not IDNA", "too long", "unknown zone"],
)
def test_an_unknown_host_is_refused_and_says_so(host: str) -> None:
    source = ExpositionTextSource(f"http://{host}/metrics?token=s3cret")

    async def scenario() -> None:
        try:
            await source.poll()
        finally:
            await source.close()

    with pytest.raises(PollError, match="host name is not known") as caught:
        asyncio.run(scenario())
    assert caught.value.reason == "refused"
    assert "s3cret" not in str(caught.value)


def test_a_source_that_was_never_polled_can_be_closed() -> None:
    asyncio.run(ExpositionTextSource("http://127.0.0.1:1/metrics").close())
