"""One HTTP GET, bounded in everything that the other side decides.

How long it takes is bounded by the caller, which cancels it.
"""

from __future__ import annotations

import errno
import os
from typing import NamedTuple

import aiohttp
from aiohttp.http_exceptions import LineTooLong

from pg_pool_exporter import __version__
from pg_pool_exporter.sources.base import PollError

MAX_BODY_BYTES = 4 * 1024 * 1024
_MAX_HEADER_BYTES = 8 * 1024
_MAX_HEADERS = 128

# Other reasons, for example too many open files, are not the target's.
_REASONS: dict[int | None, str] = {
    errno.ECONNREFUSED: "refused",
    errno.EHOSTUNREACH: "refused",
    errno.ENETUNREACH: "refused",
    errno.EACCES: "permission",
    errno.EPERM: "permission",
    errno.ETIMEDOUT: "timeout",
    None: "refused",
}
_HEADERS = {"User-Agent": f"pg-pool-exporter/{__version__}"}


class Accepted(NamedTuple):
    """What is asked for."""

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
    """There is no connection. `errno` is the system's reason, None when it gave none."""

    def __init__(self, reason: str, message: str, number: int | None) -> None:
        super().__init__(reason, message)
        self.errno = number


class Body(NamedTuple):
    """The body of an answer as it was sent."""

    content: bytes
    gzipped: bool


def session(connector: aiohttp.BaseConnector) -> aiohttp.ClientSession:
    """A session without cookies, proxies, credentials from files, and deadlines of its own."""
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=_HEADERS,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
        auto_decompress=False,
        trust_env=False,
        max_line_size=_MAX_HEADER_BYTES,
        max_field_size=_MAX_HEADER_BYTES,
        max_headers=_MAX_HEADERS,
    )


async def fetch(
    via: aiohttp.ClientSession, url: str, *, encoding: str, accepted: Accepted = PAGE
) -> Body:
    """The body of the page at `url`, asked for with this `Accept-Encoding`.

    Raises `PollError`. Its message never holds what the other side sent, nor the URL, whose query
    can be a secret.
    """
    headers = {"Accept": accepted.header, "Accept-Encoding": encoding}
    try:
        async with via.get(url, headers=headers, allow_redirects=False) as response:
            gzipped = _check(response, accepted)
            return Body(await _content(response), gzipped)
    except aiohttp.ClientConnectorDNSError:
        raise PollError("refused", "the host name is not known") from None
    except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError):
        raise PollError("protocol", "no TLS connection: is its certificate valid?") from None
    except aiohttp.ClientConnectorError as error:
        raise _not_connected(error.os_error) from None
    except aiohttp.ClientPayloadError:
        raise PollError("protocol", "the body ended too early or is not valid HTTP") from None
    except aiohttp.ClientResponseError as error:
        raise _not_http(error) from None
    except aiohttp.ClientConnectionError as error:
        raise _broken_off(error) from None


def _check(response: aiohttp.ClientResponse, accepted: Accepted) -> bool:
    """Whether the body is gzipped. Raises `PollError` for an answer whose body is no page."""
    if response.status != 200:
        raise PollError("protocol", f"the answer has status {response.status}")
    content_type = response.headers.get("Content-Type")
    if content_type is not None and response.content_type not in accepted.content_types:
        types = ", ".join(accepted.content_types)
        raise PollError("protocol", f"the content type is none of {types}")
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding not in ("identity", "gzip"):
        raise PollError("protocol", "the content encoding is not gzip")
    return encoding == "gzip"


async def _content(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    if (response.content_length or 0) <= MAX_BODY_BYTES:
        async for chunk in response.content.iter_any():
            content += chunk
            if len(content) > MAX_BODY_BYTES:
                break
        else:
            return bytes(content)
    raise too_large()


def too_large() -> PollError:
    """The failure of a poll whose page is over the limit."""
    return PollError("too_large", f"the page is larger than {MAX_BODY_BYTES // 2**20} MiB")


def _not_connected(error: OSError) -> NotConnectedError:
    reason = _REASONS.get(error.errno, "other")
    # Without a number it is several addresses that failed in different ways, or a path too long.
    text = os.strerror(error.errno) if error.errno else "no address of the target can be used"
    return NotConnectedError(reason, f"not connected: {text}", error.errno)


def _broken_off(error: aiohttp.ClientConnectionError) -> PollError:
    # On a unix socket: its queue is full, and the system let us go on as if it were not.
    if isinstance(error, OSError) and error.errno == errno.ENOTCONN:
        return PollError("timeout", "the process does not take connections any more")
    return PollError("protocol", "the connection was closed before the end")


def _not_http(error: aiohttp.ClientResponseError) -> PollError:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, LineTooLong):
            return PollError("too_large", "a header of the answer is too long")
        cause = cause.__cause__
    return PollError("protocol", "the answer is not valid HTTP, or has too many headers")
