"""What is served over HTTP: every answer comes from memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus

from aiohttp import hdrs, web

from pg_pool_exporter.analysis import Doctor
from pg_pool_exporter.blocking.threads import Lane
from pg_pool_exporter.exposition.pages import Exposition
from pg_pool_exporter.metrics.text_format import OPENMETRICS_CONTENT_TYPE, TEXT_CONTENT_TYPE
from pg_pool_exporter.model import TargetId
from pg_pool_exporter.polling.store import Store
from pg_pool_exporter.web.findings_json import findings_json
from pg_pool_exporter.web.negotiation import accepts_gzip, prefers_openmetrics
from pg_pool_exporter.web.page import CONTENT_SECURITY_POLICY, document
from pg_pool_exporter.web.paths import (
    FINDINGS_PATH,
    HEALTHY_PATH,
    PROBE_PATH,
    READY_PATH,
    RELOAD_PATH,
)
from pg_pool_exporter.web.rendering import Rendering

# Kinds of targets that the configuration names.
_CONFIGURED_KINDS = ("server", "log", "app", "bouncer")
# A large page is handed over piece by piece: what a slow client has not taken yet is then not
# copied for it, and other clients have their turn in between.
_PIECE = 256 * 1024
# A client that has not taken its answer by then is let go of; in seconds.
_SEND_TIMEOUT = 60.0
_MAX_NAMES_SHOWN = 20


class Web:
    """The handlers.

    `doctor` tells what is wrong. `unpolled` names the targets that are still to be polled for the
    first time. `reload` loads the configuration again and tells whether that worked; None when
    nobody may ask for it over HTTP.
    """

    def __init__(
        self,
        store: Store,
        exposition: Exposition,
        doctor: Doctor,
        *,
        telemetry_path: str,
        unpolled: Callable[[], list[str]],
        reload: Callable[[], Awaitable[bool]] | None,
    ) -> None:
        self._store = store
        self._exposition = exposition
        # A single thread: clients that ask for pages must not take the CPU from the polls.
        rendering = Lane("rendering")
        self._told = Rendering(doctor, findings_json, rendering)
        self._pages = {
            refresh: Rendering(
                doctor,
                partial(
                    document,
                    telemetry_path=telemetry_path,
                    findings_path=FINDINGS_PATH,
                    refresh=refresh,
                ),
                rendering,
            )
            for refresh in (True, False)
        }
        self._telemetry_path = telemetry_path
        self._unpolled = unpolled
        self._reload = reload

    def routes(self) -> list[web.RouteDef]:
        """The routes; all that can be read with GET can be asked about with HEAD."""
        return [
            web.get(self._telemetry_path, self._metrics),
            web.get(PROBE_PATH, self._probe),
            web.get(FINDINGS_PATH, self._findings),
            web.get(HEALTHY_PATH, self._healthy),
            web.get(READY_PATH, self._ready),
            web.post(RELOAD_PATH, self._reload_configuration),
            web.put(RELOAD_PATH, self._reload_configuration),
            *([] if self._telemetry_path == "/" else [web.get("/", self._page)]),
        ]

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        openmetrics = _wants_openmetrics(request)
        if accepts_gzip(_header(request, hdrs.ACCEPT_ENCODING)):
            body = await self._exposition.compressed(openmetrics=openmetrics)
            return await _send(request, body, openmetrics=openmetrics, encoding="gzip")
        body = self._exposition.plain(openmetrics=openmetrics)
        return await _send(request, body, openmetrics=openmetrics)

    async def _probe(self, request: web.Request) -> web.StreamResponse:
        name = request.query.get("target", "")
        if not name:
            return _text("target is missing: /probe?target=NAME", HTTPStatus.BAD_REQUEST)
        known = [state.key for state in self._store.states() if _is_named(state.key, name)]
        if not known:
            # The name is not repeated: it is whatever a client sent.
            return _text("no target of that name in the configuration", HTTPStatus.NOT_FOUND)
        openmetrics = _wants_openmetrics(request)
        body = self._exposition.of_targets(known, openmetrics=openmetrics)
        return await _send(request, body, openmetrics=openmetrics)

    async def _findings(self, _request: web.Request) -> web.Response:
        return web.Response(
            text=await self._told.get(),
            content_type="application/json",
            headers={hdrs.CACHE_CONTROL: "no-store"},
        )

    async def _healthy(self, _request: web.Request) -> web.Response:
        return _text("healthy")

    async def _ready(self, _request: web.Request) -> web.Response:
        names = self._unpolled()
        if not names:
            return _text("ready")
        shown = ", ".join(names[:_MAX_NAMES_SHOWN])
        more = len(names) - _MAX_NAMES_SHOWN
        rest = f" and {more} more" if more > 0 else ""
        return _text(f"not polled yet: {shown}{rest}", HTTPStatus.SERVICE_UNAVAILABLE)

    async def _reload_configuration(self, _request: web.Request) -> web.Response:
        if self._reload is None:
            return _text("start with --web.enable-lifecycle to allow this", HTTPStatus.FORBIDDEN)
        if await self._reload():
            return _text("reloaded")
        # The mistakes themselves are for whoever may read the log.
        return _text("not reloaded: the log says why", HTTPStatus.INTERNAL_SERVER_ERROR)

    async def _page(self, request: web.Request) -> web.Response:
        body = await self._pages[request.query.get("refresh") != "off"].get()
        response = web.Response(
            body=body,
            content_type="text/html",
            charset="utf-8",
            zlib_executor_size=_PIECE // 16,
            headers={
                hdrs.CACHE_CONTROL: "no-store",
                "Content-Security-Policy": CONTENT_SECURITY_POLICY,
                "Referrer-Policy": "no-referrer",
            },
        )
        response.enable_compression()
        return response


def _header(request: web.Request, name: str) -> str:
    return ",".join(request.headers.getall(name, ()))


def _is_named(key: TargetId, name: str) -> bool:
    """Whether the configuration calls the target, or its application, by this name."""
    return key.kind in _CONFIGURED_KINDS and name in (key.label, key.app)


def _wants_openmetrics(request: web.Request) -> bool:
    return prefers_openmetrics(_header(request, hdrs.ACCEPT))


def _text(message: str, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    return web.Response(text=message + "\n", status=status)


async def _send(
    request: web.Request, body: bytes, *, openmetrics: bool, encoding: str | None = None
) -> web.StreamResponse:
    content_type = OPENMETRICS_CONTENT_TYPE if openmetrics else TEXT_CONTENT_TYPE
    headers = {hdrs.CONTENT_TYPE: content_type, hdrs.VARY: "Accept, Accept-Encoding"}
    if encoding is not None:
        headers[hdrs.CONTENT_ENCODING] = encoding
    response = web.StreamResponse(headers=headers)
    response.content_length = len(body)
    view = memoryview(body if request.method != hdrs.METH_HEAD else b"")
    try:
        async with asyncio.timeout(_SEND_TIMEOUT):
            await response.prepare(request)
            for start in range(0, len(view), _PIECE):
                await response.write(view[start : start + _PIECE])
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
    except ConnectionError:
        pass  # the client has hung up: nobody's fault, and nobody is there to be told
    return response
