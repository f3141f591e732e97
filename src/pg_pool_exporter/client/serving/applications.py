"""Other ways to serve the page than the socket that the daemon finds.

All of them show every process of the application on this host, not only the one that happens to
be asked; the collector alone shows its own process.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

from pg_pool_exporter.client.process import PROCESS
from pg_pool_exporter.client.registry import log
from pg_pool_exporter.metrics.series import of_pools
from pg_pool_exporter.metrics.text_format import TEXT_CONTENT_TYPE, bound
from pg_pool_exporter.model import Histogram

_Environ = dict[str, Any]
_StartResponse = Callable[[str, list[tuple[str, str]]], Any]
_Scope = dict[str, Any]
_Receive = Callable[[], Awaitable[dict[str, Any]]]
_Send = Callable[[dict[str, Any]], Awaitable[None]]


def serve(port: int, address: str = "127.0.0.1") -> None:
    """Serve the page on a port, in a thread, as soon as a pool is instrumented.

    Of several processes one has the port at a time. What goes wrong is logged.
    """
    if not isinstance(port, int) or not 0 < port < 1 << 16:
        log.error("the page can't be served: a port is a number from 1 to 65535, not %r", port)
        return
    try:
        PROCESS.serve_port(address, port)
    except Exception:  # noqa: BLE001 - nothing may reach the application
        log.exception("the page can't be served on port %s", port)


def wsgi_app(environ: _Environ, start_response: _StartResponse) -> Iterable[bytes]:
    """A WSGI application that answers GET and HEAD with the page, whatever the path."""
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
    """An ASGI application that answers GET and HEAD with the page, whatever the path."""
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


class Collector:
    """A collector for a registry of prometheus_client, which must be installed.

    `prometheus_client.REGISTRY.register(Collector())` puts this process's pools on the page that
    the application serves already.
    """

    def describe(self) -> list[Any]:
        """Nothing, so that registering doesn't read the pools."""
        return []

    def collect(self) -> Iterator[Any]:
        """The families of prometheus_client."""
        from prometheus_client.metrics_core import Metric

        families: dict[str, Metric] = {}
        for metric, labels, value in of_pools(PROCESS.samples()):
            name = metric.name.removesuffix("_total") if metric.type == "counter" else metric.name
            family = families.setdefault(name, Metric(name, metric.help, metric.type))
            # An empty value is the same as no label, which is how the page has it.
            pairs = zip(metric.labels, labels, strict=True)
            named = {label: text for label, text in pairs if text}
            if isinstance(value, Histogram):
                _add_histogram(family, metric.bounds, named, value)
            else:
                family.add_sample(metric.name, named, value)
        yield from families.values()


def _add_histogram(
    family: Any, bounds: tuple[float, ...], labels: dict[str, str], value: Histogram
) -> None:
    cumulated = 0
    for le, count in zip((*map(bound, bounds), "+Inf"), value.counts, strict=True):
        cumulated += count
        family.add_sample(f"{family.name}_bucket", {**labels, "le": le}, cumulated)
    family.add_sample(f"{family.name}_sum", labels, value.total)
    family.add_sample(f"{family.name}_count", labels, cumulated)
