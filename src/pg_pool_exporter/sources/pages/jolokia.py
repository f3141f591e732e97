"""HikariCP's MBeans, read over HTTP through Jolokia.

They show the present state and no counters, so durations and timeouts are unknown. Pools created
with `registerMbeans=true` have them.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from pg_pool_exporter.blocking.threads import PARSING
from pg_pool_exporter.config import HttpClientConfig
from pg_pool_exporter.formats import DEFAULT_POOL, JOLOKIA, UNLIMITED
from pg_pool_exporter.metrics.limiter import NameLimiter
from pg_pool_exporter.model import PoolId, PoolSample, Snapshot
from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.http.client import HttpClient, TcpConnector
from pg_pool_exporter.sources.http.fetch import DOCUMENT, Request
from pg_pool_exporter.sources.http.request_options import request_options
from pg_pool_exporter.sources.pages.reading.text_reader import MAX_POOLS
from pg_pool_exporter.sources.pages.series.safe_names import PoolName, safe_pool_name
from pg_pool_exporter.sources.pages.series.text_syntax import cut
from pg_pool_exporter.sources.pages.target_defaults import NO_DEFAULTS, TargetDefaults

MAX_MBEANS = 2000
"""Most MBeans of one answer."""

# By the attribute: the field of the sample. A pool has two MBeans: Pool and PoolConfig.
_FIELDS = {
    "MaximumPoolSize": "max",
    "MinimumIdle": "min",
    "IdleConnections": "idle",
    "ActiveConnections": "active",
    "ThreadsAwaitingConnection": "waiting",
}
# One request for all pools. Jolokia leaves out attributes that an MBean does not have. POST: in the
# path of a GET the names would need escapes of Jolokia's own.
_REQUEST = json.dumps(
    {"type": "read", "mbean": "com.zaxxer.hikari:type=Pool*,*", "attribute": [*_FIELDS]}
).encode()
# The second form is that of the system property hikaricp.jmx.register2.0.
_MBEAN = re.compile(
    r"com\.zaxxer\.hikari:(?:type=Pool(?:Config)? \((?P<first>.*)\)"
    r"|(?=.*\btype=Pool(?:Config)?(?:,|$))(?:.*,)?name=(?P<second>[^,]*)(?:,.*)?)",
    re.DOTALL,
)


class JolokiaSource:
    """The pools of one JVM. `url` is that of its Jolokia agent."""

    def __init__(
        self,
        url: str,
        defaults: TargetDefaults = NO_DEFAULTS,
        *,
        connector: Callable[[], aiohttp.BaseConnector] = TcpConnector,
        http_client: HttpClientConfig = HttpClientConfig(),  # noqa: B008 - a frozen value
    ) -> None:
        parts = urlsplit(url)
        # The JVM agent answers 404 to the address without it; the others take both.
        self._url = parts._replace(path=f"{parts.path.rstrip('/')}/").geturl()
        self._defaults = defaults
        self._client = HttpClient(connector)
        self._http_client = http_client
        self._named: NameLimiter[PoolId] = NameLimiter(MAX_POOLS)

    async def poll(self) -> Snapshot:
        """Read the MBeans of all pools."""
        options = await request_options(self._http_client)
        request = Request(self._url, options, accepted=DOCUMENT, posted=_REQUEST)
        body = await self._client.fetch(request)
        samples = await PARSING.run(partial(self._read, body.content))
        named = self._named.choose({sample.key: 0.0 for sample in samples}, time.monotonic())
        pools = tuple(sample for sample in samples if sample.key in named)
        return Snapshot(pools=pools, address=self._client.peer, folded=len(samples) - len(pools))

    def _read(self, document: bytes) -> list[PoolSample]:
        return hikari_pools(document, self._defaults)

    async def close(self) -> None:
        """Close the connection, if there is one."""
        await self._client.close()


def hikari_pools(document: bytes, defaults: TargetDefaults) -> list[PoolSample]:
    """The pools in an answer of Jolokia. Raises `PollError`."""
    by_pool: dict[PoolName, dict[str, Any]] = {}
    mbeans = _mbeans(document)
    if len(mbeans) > MAX_MBEANS:
        raise PollError("too_large", f"the answer has more than {MAX_MBEANS} MBeans")
    for mbean, attributes in mbeans.items():
        match = _MBEAN.fullmatch(mbean)
        if match is None or not isinstance(attributes, Mapping):
            raise PollError("protocol", "the answer has an MBean that is not HikariCP's")
        fields = by_pool.setdefault(_pool_name(match["first"] or match["second"] or ""), {})
        for attribute, field in _FIELDS.items():
            value = _number(attributes.get(attribute), field)
            if value is not None:
                # More than one only where the names of several pools can't be shown.
                fields[field] = fields.get(field, 0.0) + value
    return [
        defaults.complete(
            PoolSample(
                key=PoolId(defaults.app, name, defaults.process),
                info=replace(
                    info,
                    client="HikariCP",
                    source=JOLOKIA,
                    application=info.application or defaults.application,
                ),
                **fields,
            )
        )
        for (name, info, _), fields in by_pool.items()
    ]


def _pool_name(name: str) -> PoolName:
    # JSON can hold halves of characters, which no page can.
    named = safe_pool_name(cut(name.encode("utf-8", "replace").decode()))
    return named._replace(name=named.name or DEFAULT_POOL)


def _mbeans(document: bytes) -> Mapping[str, Any]:
    try:
        answer = json.loads(document)
        status = answer["status"]
        # HTTP's own status is 200 whatever happened.
        if status == 200:
            return {**answer["value"]}
    except (ValueError, KeyError, TypeError, RecursionError):
        raise PollError("protocol", "the answer is not Jolokia's") from None
    if status == 404:
        raise PollError(
            "protocol",
            "no MBeans of HikariCP: its pools need registerMbeans=true, and must have been opened",
        )
    if status in (401, 403):
        raise PollError("permission", f"Jolokia's policy forbids reading (status {status})")
    raise PollError("protocol", "Jolokia answers with an error")


def _number(value: object, field: str) -> float | None:
    # A bool is an int to Python. A value below 0 is not set yet.
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    if not 0 <= value < UNLIMITED or (field == "max" and value == 0):
        return None
    return float(value)
