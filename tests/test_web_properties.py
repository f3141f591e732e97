"""No request, however mutilated, gets a 500, an endless wait or an ever larger process."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from support.serving import exchange, resident, serving_in_thread

LINES = [
    *(b"GET %s HTTP/1.1" % path for path in (b"/", b"/metrics", b"/probe?target=a", b"/-/ready")),
    *(b"%s /-/reload HTTP/1.1" % method for method in (b"POST", b"PUT", b"HEAD", b"TRACE")),
    b"GET http://a.example/api/v1/findings HTTP/1.0",
    b"OPTIONS * HTTP/1.1",
    b"CONNECT a.example:443 HTTP/1.1",
]
HEADERS = [
    b"Host: x",
    b"Host: [::1]:99",
    b"Accept: application/openmetrics-text;version=1.0.0,*/*;q=0.1",
    b"Accept-Encoding: gzip;q=0.5, *;q=0",
    b"Authorization: Basic YTpi",
    b"Connection: close",
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAA",
    b"Content-Length: 5",
    b"Content-Encoding: gzip",
    b"Expect: 100-continue",
    b"Origin: http://x",
    b"Transfer-Encoding: chunked",
]
BODIES = [
    b"",
    b"hello",
    b"5\r\nhello\r\n0\r\n\r\n",
    b"ffffffffffffffff\r\n",
    b"\x1f\x8b\x08\x00" * 4,
]

Request = tuple[bytes, list[bytes], bytes]
REQUESTS = st.tuples(
    st.sampled_from(LINES), st.lists(st.sampled_from(HEADERS), max_size=6), st.sampled_from(BODIES)
)
# Where, how many bytes there go, and what comes in their place.
EDITS = st.lists(
    st.tuples(st.integers(0, 300), st.integers(0, 8), st.binary(max_size=8) | st.just(b"\r\n")),
    max_size=4,
)


def mutilated(request: Request, edits: list[tuple[int, int, bytes]]) -> bytes:
    line, headers, body = request
    text = b"\r\n".join([line, *headers, b"", body])
    for start, length, replacement in edits:
        text = text[:start] + replacement + text[start + length :]
    return text


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving_in_thread() as port:
        yield port


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(REQUESTS, EDITS, st.integers(1, 3))
def test_any_request_is_answered_or_cut_off_soon_and_nothing_is_logged(
    port: int, caplog: pytest.LogCaptureFixture, mutated: Request,
    edits: list[tuple[int, int, bytes]], times: int,
) -> None:  # fmt: skip
    started = time.perf_counter()
    answer = exchange(port, mutilated(mutated, edits) * times, timeout=5)
    # A body that does not come is waited for, for a second.
    assert time.perf_counter() - started < 2.5
    assert answer == b"" or answer.startswith(b"HTTP/")
    assert b" 500 " not in answer.partition(b"\r\n")[0]
    assert b"Traceback" not in answer
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


def test_many_odd_requests_do_not_make_the_process_larger(port: int) -> None:
    def round_of_requests() -> None:
        for line in LINES:
            for body in BODIES:
                exchange(port, mutilated((line, HEADERS[:1], body), []), timeout=5)
                exchange(port, mutilated((line, [b"X: " + b"\xff" * 9000], body), []), timeout=5)

    round_of_requests()
    before = resident()
    for _ in range(3):
        round_of_requests()
    assert resident() - before < 20_000_000
