"""Asks a running exporter.

With the standard library's HTTP client: importing aiohttp takes longer than the answer.
"""

from __future__ import annotations

import os
import ssl
from base64 import b64encode
from functools import partial
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import SplitResult, quote, unquote

from pg_pool_exporter.blocking.threads import Lane
from pg_pool_exporter.commands.findings_document import DocumentError
from pg_pool_exporter.web.paths import FINDINGS_PATH

_SECONDS = 10.0
_MAX_BYTES = 16 * 1024 * 1024
_LANE = Lane("ask-daemon")


def ask(url: SplitResult) -> str:
    """The document of the exporter at `url`, which has a host. Raises `DocumentError`."""
    where = f"{url.scheme}://{url.netloc.rpartition('@')[2]}"
    try:
        # The timeouts of sockets bound each read, the lane bounds all of them.
        return _LANE.wait(partial(_fetch, url, where), seconds=_SECONDS)
    except TimeoutError:
        raise DocumentError(f"{where}: no answer within {_SECONDS:g} s") from None
    except ssl.SSLCertVerificationError:
        raise DocumentError(
            f"{where}: its certificate is not trusted; set SSL_CERT_FILE to a file with the "
            "certificate of its authority"
        ) from None
    except ssl.SSLError:
        raise DocumentError(
            f"{where}: TLS handshake failed: does the exporter serve HTTPS there?"
        ) from None
    except (HTTPException, UnicodeDecodeError):
        raise DocumentError(f"{where}: the answer is not from a pg-pool-exporter") from None
    except UnicodeError:
        raise DocumentError(f"{where}: not a valid host name") from None
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else "no connection"
        raise DocumentError(f"{where}: {reason}; does the exporter run there?") from None


def _fetch(url: SplitResult, where: str) -> str:
    assert url.hostname is not None
    kind = HTTPSConnection if url.scheme == "https" else HTTPConnection
    http = kind(url.hostname, url.port, timeout=_SECONDS)
    headers = {}
    if url.username is not None:
        credentials = f"{unquote(url.username)}:{unquote(url.password or '')}"
        headers["Authorization"] = f"Basic {b64encode(credentials.encode()).decode()}"
    try:
        path = quote(url.path.rstrip("/"), safe="/%")
        http.request("GET", path + FINDINGS_PATH, headers=headers)
        # No redirection is followed: it could take the password elsewhere.
        answer = http.getresponse()
        if answer.status != HTTPStatus.OK:
            raise DocumentError(f"{where}: {_refusal(answer.status, url)}")
        body = answer.read(_MAX_BYTES + 1)
    finally:
        http.close()
    if len(body) > _MAX_BYTES:
        raise DocumentError(f"{where}: the answer is longer than {_MAX_BYTES // 2**20} MiB")
    return body.decode()


def _refusal(status: int, url: SplitResult) -> str:
    if status == HTTPStatus.UNAUTHORIZED and url.username is not None:
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
