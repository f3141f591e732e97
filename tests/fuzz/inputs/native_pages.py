"""Pages of our own format, as text and as OpenMetrics."""

from __future__ import annotations

from fuzz.harness import Harness, pure
from pg_pool_exporter.metrics.catalogue import METRICS
from pg_pool_exporter.metrics.series import of_pools
from pg_pool_exporter.metrics.text_format import Blocks, blocks, page
from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.pages.reading.text_reader import PageReader
from pg_pool_exporter.sources.pages.series.native_page import NATIVE
from pg_pool_exporter.sources.pages.series.table import Table
from pg_pool_exporter.sources.pages.target_defaults import NO_DEFAULTS, TargetDefaults
from support.pages import pool


def check_page(
    data: bytes, table: Table = NATIVE, defaults: TargetDefaults = NO_DEFAULTS
) -> list[Blocks]:
    """The pools of a page that is read twice by one reader: it is the same page still."""
    reader = PageReader(table, defaults)
    try:
        first = reader.read(data, reader.quick_lines(data))
        again = reader.read(data)
    except PollError:
        return []
    assert first.pools == again.pools
    return [blocks(of_pools(first.pools))]


_FULL = pool()
_POOLS = (
    _FULL,
    pool(name="a b/c", process="web:1"),
    pool(app='q"\\\n', name="é" * 3),
)
HARNESS = Harness(
    name="native_pages",
    seeds=[
        page([blocks(of_pools(pools))], openmetrics=openmetrics).encode()
        for pools in (_POOLS[:1], _POOLS)
        for openmetrics in (False, True)
    ],
    tokens=[
        *(metric.name.encode() for metric in METRICS if metric.section == "pool"),
        b"pg_pool_", b"# TYPE ", b"# HELP ", b"# EOF\n", b"_total", b"_bucket", b'le="+Inf"',
        b'{app="orders",pool="main",process="web:0"} 1\n', b" # {} 1", b"counter", b"gauge",
    ],
    start=pure(check_page),
)  # fmt: skip
