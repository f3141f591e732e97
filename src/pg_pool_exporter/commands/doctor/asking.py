"""Asks a running daemon."""

from __future__ import annotations

import asyncio
import os
from http import HTTPStatus

import aiohttp
from yarl import URL

from pg_pool_exporter.commands.doctor.report import ReportError
from pg_pool_exporter.web.paths import FINDINGS_PATH

_SECONDS = 10.0
_MAX_BYTES = 16 * 1024 * 1024


def parse_url(text: str) -> URL:
    """The address of a daemon: `http://HOST:PORT`, with `USER:PASSWORD@` where it asks for them.

    Raises `ValueError` for anything else, without repeating it.
    """
    try:
        url = URL(text)
        port = url.port
    except ValueError:
        url, port = URL(), None
    if url.scheme not in ("http", "https") or not url.host or not port or url.query_string:
        raise ValueError("must be the daemon's address, like http://localhost:10432")
    return url


async def ask(url: URL) -> str:
    """The daemon's document. Raises `ReportError`."""
    where = f"{url.scheme}://{url.host}:{url.port}"
    asked = url.joinpath(*FINDINGS_PATH.strip("/").split("/"))
    try:
        # A redirection could take the password elsewhere.
        async with (
            asyncio.timeout(_SECONDS),
            aiohttp.ClientSession() as http,
            http.get(asked, allow_redirects=False) as answer,
        ):
            if answer.status != HTTPStatus.OK:
                raise ReportError(f"{where}: {_refusal(answer.status, url)}")
            # Bounded after decompression, too.
            body = b""
            async for piece in answer.content.iter_chunked(2**16):
                body += piece
                if len(body) > _MAX_BYTES:
                    raise ReportError(
                        f"{where}: the answer is longer than {_MAX_BYTES // 2**20} MiB"
                    )
            return body.decode()
    except TimeoutError:
        raise ReportError(f"{where}: no answer within {_SECONDS:g} s") from None
    except aiohttp.ClientConnectorCertificateError:
        raise ReportError(
            f"{where}: its certificate is not trusted; set SSL_CERT_FILE to a file with the "
            "certificate of its authority"
        ) from None
    except aiohttp.ClientOSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else "no connection"
        raise ReportError(f"{where}: {reason}; does the exporter run there?") from None
    except (aiohttp.ClientError, UnicodeDecodeError):
        raise ReportError(f"{where}: the answer is not from a pg-pool-exporter") from None


def _refusal(status: int, url: URL) -> str:
    if status == HTTPStatus.UNAUTHORIZED and url.user is not None:
        return "wrong user or password"
    if status == HTTPStatus.UNAUTHORIZED:
        return (
            "it needs a user and a password: set PG_POOL_EXPORTER_URL to "
            f"{url.scheme}://USER:PASSWORD@HOST:PORT (unlike a flag, a variable is hidden from "
            "other users of this host)"
        )
    if status == HTTPStatus.NOT_FOUND:
        return f"no {FINDINGS_PATH} there: not a pg-pool-exporter, or an older one"
    return f"status {status}"
