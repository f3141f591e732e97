"""Answers of Jolokia."""

from __future__ import annotations

from fuzz.harness import Harness, pure
from fuzz.inputs.foreign_pages import DEFAULTS, PAGES
from pg_pool_exporter.metrics.series import of_pools
from pg_pool_exporter.metrics.text_format import Blocks, blocks
from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.pages.jolokia import hikari_pools


def _check(data: bytes) -> list[Blocks]:
    try:
        return [blocks(of_pools(hikari_pools(data, DEFAULTS)))]
    except PollError:
        return []


HARNESS = Harness(
    name="jolokia",
    seeds=[path.read_bytes() for path in sorted(PAGES.glob("*.json"))],
    tokens=[
        b'"com.zaxxer.hikari:type=Pool (a)":', b'"com.zaxxer.hikari:name=b,type=PoolConfig":',
        b'{"ActiveConnections":1}', b'"MaximumPoolSize":', b'"status":', b'"value":', b"null",
        b"true", b"1e999", b"NaN", b"-Infinity", b'"\\ud800"', b"{}", b"[]", b"404", b"\\u0000",
    ],
    start=pure(_check),
)  # fmt: skip
