"""Sends one HTTP request. Sizes and numbers that the server decides are bounded. The caller cancels
at its deadline.
"""

from __future__ import annotations

import errno
import os
import socket
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple

import aiohttp
from aiohttp.http_exceptions import LineTooLong
from yarl import URL

from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.http.request_options import PLAIN, RequestOptions

MAX_BODY_BYTES = 4 * 1024 * 1024
MAX_TINY_CHUNKS = 20_000
"""Chunks of a body whose average is below `_TINY_BYTES`: each costs a microsecond."""
_TINY_BYTES = 32  # a server that sends each line of a long page as a chunk is above

# Other reasons, for example too many open files, are not the target's.
_REASONS: dict[int | None, str] = {
    errno.ECONNREFUSED: "refused",
    errno.EHOSTDOWN: "refused",
    errno.EHOSTUNREACH: "refused",
    errno.ENETDOWN: "refused",
    errno.ENETUNREACH: "refused",
    errno.ENOENT: "refused",
    errno.ENOTDIR: "refused",
    errno.EACCES: "permission",
    errno.EPERM: "permission",
    errno.ETIMEDOUT: "timeout",
    None: "refused",
}
_REDIRECTS = (301, 302, 303, 307, 308)
_MAX_REDIRECTS = 3


class Accepted(NamedTuple):
    """The kind of answer that a request asks for."""

    header: str
    """`Accept` of the request."""
    content_types: tuple[str, ...]


PAGE = Accepted(
    "text/plain;version=0.0.4, application/openmetrics-text;version=1.0.0;q=0.5",
    ("text/plain", "application/openmetrics-text"),
)
"""A page of metrics as Prometheus text."""
DOCUMENT = Accepted("application/json", ("application/json", "text/plain"))
"""A document in JSON."""


class NotConnectedError(PollError):
    """No connection was made. `errno` is the system's reason; None when unknown."""

    def __init__(self, reason: str, message: str, number: int | None) -> None:
        super().__init__(reason, message)
        self.errno = number


class BrokenOffError(PollError):
    """The connection was closed before the answer was complete."""


class Body(NamedTuple):
    """The body of an answer as it was sent."""

    content: bytes
    gzipped: bool = False
    openmetrics: bool = False
    """Whether it is a page of OpenMetrics, which ends with `# EOF`."""
    length_known: bool = True
    """Whether the answer says where the body ends; else only the end of the connection does."""


class Request(NamedTuple):
    """An HTTP request."""

    url: str
    options: RequestOptions = PLAIN
    encoding: str = "identity"
    """Its `Accept-Encoding`."""
    accepted: Accepted = PAGE
    posted: bytes | None = None
    """The JSON document to post; None sends a GET."""
    until_line: bool = False
    """Whether the body is enough once it ends with a line, for an answer that goes on for long."""


async def fetch(via: aiohttp.ClientSession, request: Request) -> Body:
    """The body of the answer.

    A GET follows a few redirects, on the same host only: its credentials are not for others.
    Raises `PollError`, whose message never contains what the server sent, nor the URL, whose query
    can be a secret.
    """
    try:
        url = URL(request.url)
        for _ in range(_MAX_REDIRECTS + 1):
            async with _sent(via, request, url) as response:
                if response.status not in _REDIRECTS or request.posted is not None:
                    gzipped = _check(response, request.accepted)
                    return Body(
                        await _content(response, until_line=request.until_line),
                        gzipped,
                        openmetrics=response.content_type == "application/openmetrics-text",
                        length_known=response.content_length is not None
                        or "Transfer-Encoding" in response.headers,
                    )
                url = _elsewhere(response)
    except (aiohttp.ClientConnectorDNSError, UnicodeError):
        # The latter: it is no name in DNS at all (IDNA).
        raise _unknown_host() from None
    except aiohttp.ClientConnectorCertificateError:
        raise PollError(
            "protocol", "TLS handshake failed: the server's certificate is not valid"
        ) from None
    except aiohttp.ClientConnectorSSLError:
        raise PollError(
            "protocol",
            "TLS handshake failed: does the server speak HTTPS, or require a client certificate?",
        ) from None
    except aiohttp.ClientConnectorError as error:
        raise _not_connected(error.os_error) from None
    except aiohttp.ClientPayloadError:
        raise PollError("protocol", "the body ended too early, or is not valid HTTP") from None
    except aiohttp.ClientResponseError as error:
        raise _not_http(error) from None
    except aiohttp.ClientConnectionError as error:
        raise _broken_off(error) from None
    raise PollError("protocol", f"more than {_MAX_REDIRECTS} redirects")


def _sent(
    via: aiohttp.ClientSession, request: Request, url: URL
) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
    options = request.options
    own = {"Accept": request.accepted.header, "Accept-Encoding": request.encoding}
    if request.posted is not None:
        own["Content-Type"] = DOCUMENT.header
    return via.request(
        "GET" if request.posted is None else "POST",
        url,
        headers={**options.headers, **own},
        data=request.posted,
        allow_redirects=False,
        ssl=options.tls,
        server_hostname=options.server_name,
    )


def _elsewhere(response: aiohttp.ClientResponse) -> URL:
    """The target of a redirect. Raises `PollError` when that is not the same host and port."""
    try:
        url = response.url.join(URL(response.headers["Location"]))
        same = url.origin() == response.url.origin()
    except (KeyError, ValueError):
        raise PollError("protocol", "the answer is a redirect without a valid location") from None
    if not same:
        raise PollError(
            "protocol",
            "the answer redirects to another host, port or scheme, which is not followed: "
            "configure the final address",
        )
    return url.with_user(None)


def _check(response: aiohttp.ClientResponse, accepted: Accepted) -> bool:
    """Whether the body is gzipped. Raises `PollError` for an answer without a usable body."""
    if response.status in (401, 403):
        raise PollError("auth", f"access denied: the answer has status {response.status}")
    if response.status != 200:
        raise PollError("protocol", f"the answer has status {response.status}")
    content_type = response.headers.get("Content-Type")
    if content_type is not None and response.content_type not in accepted.content_types:
        types = ", ".join(accepted.content_types)
        raise PollError("protocol", f"the content type is not one of {types}")
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding not in ("identity", "gzip"):
        raise PollError("protocol", "the content encoding is neither identity nor gzip")
    return encoding == "gzip"


async def _content(response: aiohttp.ClientResponse, *, until_line: bool) -> bytes:
    content, chunks = bytearray(), 0
    if (response.content_length or 0) <= MAX_BODY_BYTES:
        async for part, is_whole in response.content.iter_chunks():
            content += part
            chunks += is_whole
            if chunks > MAX_TINY_CHUNKS and len(content) < chunks * _TINY_BYTES:
                raise PollError(
                    "protocol",
                    f"the body has more than {MAX_TINY_CHUNKS} chunks, "
                    f"of less than {_TINY_BYTES} bytes on average",
                )
            if len(content) > MAX_BODY_BYTES:
                break
            # Many lines may have arrived.
            is_all = len(content) == response.content.total_bytes
            if until_line and is_all and content.endswith(b"\n"):
                return bytes(content)
        else:
            return bytes(content)
    raise too_large()


def too_large() -> PollError:
    """The failure of a poll whose page is over the limit."""
    return PollError("too_large", f"the page is larger than {MAX_BODY_BYTES // 2**20} MiB")


def _unknown_host() -> PollError:
    return PollError("refused", "the host name is not known")


def _not_connected(error: OSError) -> PollError:
    if isinstance(error, socket.gaierror):
        return _unknown_host()  # of an address with a zone
    reason = _REASONS.get(error.errno, "other")
    # No number: several addresses failed in different ways, or the path is too long.
    text = os.strerror(error.errno) if error.errno else "no address of the target works"
    return NotConnectedError(reason, f"not connected: {text}", error.errno)


def _broken_off(error: aiohttp.ClientConnectionError) -> PollError:
    # On a unix socket whose queue is full, connecting seems to succeed.
    if isinstance(error, OSError) and error.errno == errno.ENOTCONN:
        return PollError("timeout", "the process no longer accepts connections")
    return BrokenOffError("protocol", "the connection was closed before the end")


def _not_http(error: aiohttp.ClientResponseError) -> PollError:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, LineTooLong):
            return PollError("too_large", "a header of the answer is too long")
        cause = cause.__cause__
    return PollError(
        "protocol", "the answer is not valid HTTP, or has too many headers or interim answers"
    )
