"""Ways for Prometheus to scrape the application itself: a port, WSGI, ASGI.

All of them show every process of the application on this host, not only the one that answers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from pg_pool_exporter.client.faults import log
from pg_pool_exporter.client.process import PROCESS
from pg_pool_exporter.metrics.text_format import TEXT_CONTENT_TYPE

_Environ = dict[str, Any]
_StartResponse = Callable[[str, list[tuple[str, str]]], Any]
_Scope = dict[str, Any]
_Receive = Callable[[], Awaitable[dict[str, Any]]]
_Send = Callable[[dict[str, Any]], Awaitable[None]]


def serve(port: int, address: str = "127.0.0.1") -> None:
    """Serve the metrics on a port, in a thread, as soon as a pool is instrumented.

    Of several processes one has the port at a time. An error is logged.
    """
    if not isinstance(port, int) or not 0 < port < 1 << 16:
        log.error("metrics can't be served: port must be a number from 1 to 65535, not %r", port)
        return
    try:
        PROCESS.serve_port(address, port)
    except Exception:  # noqa: BLE001 - nothing may reach the application
        log.exception("metrics can't be served on port %s", port)


def wsgi_app(environ: _Environ, start_response: _StartResponse) -> Iterable[bytes]:
    """A WSGI application that answers GET and HEAD with the metrics, whatever the path."""
    method = environ.get("REQUEST_METHOD", "GET")
    if method not in {"GET", "HEAD"}:
        refusal = [("Allow", "GET, HEAD"), ("Content-Type", "text/plain"), ("Content-Length", "0")]
        start_response("405 Method Not Allowed", refusal)
        return []
    body = PROCESS.shared_page().encode()
    headers = [("Content-Type", TEXT_CONTENT_TYPE), ("Content-Length", str(len(body)))]
    start_response("200 OK", headers)
    return [body] if method == "GET" else []


async def asgi_app(scope: _Scope, receive: _Receive, send: _Send) -> None:
    """An ASGI application that answers GET and HEAD with the metrics, whatever the path."""
    if scope["type"] != "http":
        return
    if scope["method"] not in {"GET", "HEAD"}:
        headers = [(b"allow", b"GET, HEAD"), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 405, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
        return
    # Here, because it takes longer to import than all the rest of the client.
    import asyncio

    # In a thread: it reads the siblings' sockets.
    body = (await asyncio.to_thread(PROCESS.shared_page)).encode()
    headers = [
        (b"content-type", TEXT_CONTENT_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    shown = body if scope["method"] == "GET" else b""
    await send({"type": "http.response.body", "body": shown})
