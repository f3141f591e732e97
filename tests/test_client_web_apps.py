"""The page as a part of the application's own web server."""

from __future__ import annotations

import asyncio
from io import BytesIO
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

from prometheus_client import CollectorRegistry, generate_latest

from pg_pool_exporter.client import Collector, asgi_app, wsgi_app
from pg_pool_exporter.client.process import Process
from pg_pool_exporter.metrics.text_format import TEXT_CONTENT_TYPE
from support.client import series


def wsgi(method: str) -> tuple[str, dict[str, str], bytes]:
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "wsgi.input": BytesIO(),
        "QUERY_STRING": "",
    }
    setup_testing_defaults(environ)
    environ["REQUEST_METHOD"] = method
    reported: list[Any] = []

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        reported.extend([status, dict(headers)])

    body = validator(wsgi_app)(environ, start_response)
    try:
        return reported[0], reported[1], b"".join(body)
    finally:
        body.close()  # type: ignore[attr-defined]  # the validator's own iterator has it


def stable(page: str) -> dict[Any, float]:
    """What of a page is the same a moment later."""
    return {key: value for key, value in series(page).items() if "seconds" not in key[0]}


def test_the_page_as_a_wsgi_application(shop: Process) -> None:
    status, headers, body = wsgi("GET")
    assert (status, headers["Content-Type"]) == ("200 OK", TEXT_CONTENT_TYPE)
    assert stable(body.decode()) == stable(shop.own_page())
    status, headers, body = wsgi("HEAD")
    assert (status, body) == ("200 OK", b"")
    assert int(headers["Content-Length"]) > 1000
    status, headers, body = wsgi("POST")
    assert (status, headers["Allow"]) == ("405 Method Not Allowed", "GET, HEAD")


def asgi(method: str) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
        "method": method, "scheme": "http", "path": "/metrics", "raw_path": b"/metrics",
        "query_string": b"", "root_path": "", "headers": [], "client": None, "server": None,
    }  # fmt: skip
    asyncio.run(asgi_app(scope, receive, send))
    return sent


def test_the_page_as_an_asgi_application(shop: Process) -> None:
    start, body = asgi("GET")
    assert (start["type"], start["status"]) == ("http.response.start", 200)
    assert dict(start["headers"])[b"content-type"] == TEXT_CONTENT_TYPE.encode()
    assert stable(body["body"].decode()) == stable(shop.own_page())
    start, body = asgi("HEAD")
    assert (start["status"], body["body"]) == (200, b"")
    start, body = asgi("DELETE")
    assert (start["status"], body["body"]) == (405, b"")


def test_the_page_as_a_collector_of_prometheus_client(shop: Process) -> None:
    registry = CollectorRegistry()
    registry.register(Collector())
    assert stable(generate_latest(registry).decode()) == stable(shop.own_page())
