"""The endpoints: every answer is made from memory, large ones in a thread."""

from __future__ import annotations

import socket
import time
from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
from typing import NamedTuple

from aiohttp import hdrs, web

from pg_pool_exporter.analysis.analyzer import Analysis, Analyzer
from pg_pool_exporter.analysis.findings.wording import first_of
from pg_pool_exporter.blocking.shared import SharedResult
from pg_pool_exporter.blocking.threads import Lane
from pg_pool_exporter.exposition.pages import Exposition, gzipped
from pg_pool_exporter.metrics.text_format import OPENMETRICS_CONTENT_TYPE, TEXT_CONTENT_TYPE
from pg_pool_exporter.model import TargetId
from pg_pool_exporter.polling.store import Store
from pg_pool_exporter.web.findings_json import findings_json
from pg_pool_exporter.web.links import WITHOUT_DASHBOARDS, Links
from pg_pool_exporter.web.negotiation import accepts_gzip, prefers_openmetrics
from pg_pool_exporter.web.page import CONTENT_SECURITY_POLICY, Place, document
from pg_pool_exporter.web.paths import (
    FINDINGS_PATH,
    HEALTHY_PATH,
    PROBE_PATH,
    READY_PATH,
    RELOAD_PATH,
)
from pg_pool_exporter.web.server import Answer, Routes, plain_answer

# Kinds of targets that the configuration names.
_CONFIGURED_KINDS = ("server", "log", "app", "bouncer")
_MAX_NAMES_SHOWN = 20
_PAGE_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
}


class Web:
    """The endpoints' handlers.

    `links` is where the page leads. `unpolled` lists the targets that are still to be polled for
    the first time. `reload` loads the configuration again and returns whether that worked; None
    disables it over HTTP.
    """

    def __init__(
        self,
        store: Store,
        exposition: Exposition,
        analyzer: Analyzer,
        *,
        telemetry_path: str,
        unpolled: Callable[[], list[str]],
        reload: Callable[[], Awaitable[bool]] | None,
        links: Links = WITHOUT_DASHBOARDS,
    ) -> None:
        self._store = store
        self._exposition = exposition
        # A single thread: clients that ask for pages must not take the CPU from the polls.
        lane = Lane("rendering")
        findings = partial(_findings_body, runbooks=links.runbooks)
        self._findings_body = _Body(analyzer, findings, lane)
        place = Place(
            host=socket.gethostname(),
            telemetry_path=telemetry_path,
            findings_path=FINDINGS_PATH,
            links=links,
        )
        page = partial(document, place=place)
        self._page_body = {
            refresh: _Body(analyzer, partial(page, refresh=refresh), lane)
            for refresh in (True, False)
        }
        self._telemetry_path = telemetry_path
        self._unpolled = unpolled
        self._answered = False
        self._reload = reload

    def routes(self) -> Routes:
        """Handlers by path and method."""
        reading = {
            "/": self._page,
            # After the page: it may be served at /.
            self._telemetry_path: self._metrics,
            PROBE_PATH: self._probe,
            FINDINGS_PATH: self._findings,
            HEALTHY_PATH: self._healthy,
            READY_PATH: self._ready,
        }
        reload = dict.fromkeys((hdrs.METH_POST, hdrs.METH_PUT), self._reload_configuration)
        return {
            **{path: {hdrs.METH_GET: handler} for path, handler in reading.items()},
            RELOAD_PATH: reload,
        }

    async def _metrics(self, request: web.BaseRequest) -> Answer:
        openmetrics = _wants_openmetrics(request)
        compressed = _wants_gzip(request)
        body = await self._exposition.page(openmetrics=openmetrics, compressed=compressed)
        return _negotiated(body, _metrics_type(openmetrics), compressed)

    async def _probe(self, request: web.BaseRequest) -> Answer:
        name = request.query.get("target", "")
        if not name:
            return plain_answer("target is missing: /probe?target=NAME", HTTPStatus.BAD_REQUEST)
        known = tuple(one.key for one in self._store.states() if _is_named(one.key, name))
        if not known:
            return plain_answer("no target of that name in the configuration", HTTPStatus.NOT_FOUND)
        openmetrics = _wants_openmetrics(request)
        body = await self._exposition.of_targets(known, openmetrics=openmetrics)
        return _negotiated(body, _metrics_type(openmetrics))

    async def _findings(self, request: web.BaseRequest) -> Answer:
        compressed = _wants_gzip(request)
        body = await self._findings_body.get(compressed)
        return _negotiated(body, "application/json; charset=utf-8", compressed)

    async def _page(self, request: web.BaseRequest) -> Answer:
        compressed = _wants_gzip(request)
        body = await self._page_body[request.query.get("refresh") != "off"].get(compressed)
        return _negotiated(body, "text/html; charset=utf-8", compressed, _PAGE_HEADERS)

    async def _healthy(self, _request: web.BaseRequest) -> Answer:
        return plain_answer("healthy")

    async def _ready(self, _request: web.BaseRequest) -> Answer:
        names = self._unpolled()
        if names:
            shown = first_of(names, _MAX_NAMES_SHOWN)
            return plain_answer(f"not polled yet: {shown}", HTTPStatus.SERVICE_UNAVAILABLE)
        states = self._store.states()
        self._answered |= any(one.health.last_success is not None for one in states)
        if states and not self._answered:
            return plain_answer(
                f"no target has answered yet, of {len(states)}", HTTPStatus.SERVICE_UNAVAILABLE
            )
        return plain_answer("ready")

    async def _reload_configuration(self, _request: web.BaseRequest) -> Answer:
        if self._reload is None:
            return plain_answer(
                "disabled: start with --web.enable-lifecycle to allow it", HTTPStatus.FORBIDDEN
            )
        if await self._reload():
            return plain_answer("reloaded")
        # The mistakes themselves are in the log, for those who may read it.
        return plain_answer(
            "not reloaded: the log has the reason", HTTPStatus.INTERNAL_SERVER_ERROR
        )


class _Shown(NamedTuple):
    """The content of a body."""

    version: int
    """Of the analysis, which only the lane's thread refers to: it takes milliseconds to free."""
    late: float | None = None
    """Whole minutes by which the next analysis is late, in seconds."""


class _Body:
    """A body made of the latest analysis, once for all who ask, and again for each minute that the
    next one is late; gzip is made of the plain one.
    """

    def __init__(
        self, analyzer: Analyzer, make: Callable[[Analysis, float, float | None], bytes], lane: Lane
    ) -> None:
        def plain(shown: _Shown) -> bytes:
            analysis = analyzer.analysis
            if shown.late is not None:
                analysis = analysis.outdated()
            return make(analysis, time.time(), shown.late)

        self._analyzer = analyzer
        self._shown = _Shown(analyzer.version)
        self._latest = b""
        self._plain = SharedResult(self._current, plain, lane)
        self._compressed = SharedResult(lambda: self._latest, gzipped, lane)

    def _current(self) -> _Shown:
        late = self._analyzer.lateness
        shown = _Shown(self._analyzer.version, None if late is None else late // 60 * 60)
        if shown != self._shown:
            self._shown = shown
        return self._shown

    async def get(self, compressed: bool) -> bytes:
        self._latest = await self._plain.get()
        return await self._compressed.get() if compressed else self._latest


def _findings_body(analysis: Analysis, now: float, _late: float | None, *, runbooks: str) -> bytes:
    return findings_json(analysis, now, runbooks).encode()


def _negotiated(
    body: bytes,
    content_type: str,
    compressed: bool = False,
    headers: dict[str, str] | None = None,
) -> Answer:
    own: dict[str, str] = {hdrs.VARY: "Accept, Accept-Encoding"}
    if compressed:
        own[hdrs.CONTENT_ENCODING] = "gzip"
    return Answer(body, content_type, headers={**own, **(headers or {})})


def _metrics_type(openmetrics: bool) -> str:
    return OPENMETRICS_CONTENT_TYPE if openmetrics else TEXT_CONTENT_TYPE


def _wants_openmetrics(request: web.BaseRequest) -> bool:
    return prefers_openmetrics(_header(request, hdrs.ACCEPT))


def _wants_gzip(request: web.BaseRequest) -> bool:
    return accepts_gzip(_header(request, hdrs.ACCEPT_ENCODING))


def _header(request: web.BaseRequest, name: str) -> str:
    return ",".join(request.headers.getall(name, ()))


def _is_named(key: TargetId, name: str) -> bool:
    """Whether the configuration calls the target, or its application, by this name."""
    return key.kind in _CONFIGURED_KINDS and name in (key.label, key.app)
