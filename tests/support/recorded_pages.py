"""Pages of other libraries, recorded or made of lines, and the pools that are read from them."""

from __future__ import annotations

from pathlib import Path

from pg_pool_exporter.formats import Format
from pg_pool_exporter.model import PoolSample
from pg_pool_exporter.sources.pages.reading.text_reader import PageReader
from pg_pool_exporter.sources.pages.series.foreign_page import automatic, table
from pg_pool_exporter.sources.pages.target_defaults import TargetDefaults

PAGES = Path(__file__).parents[1] / "pages"
DEFAULTS = TargetDefaults(
    app="orders", process="orders:8080", server="main", application="orders-api"
)


def recorded(name: str) -> bytes:
    """A page with a library's names (`pages/README.md` says where it comes from)."""
    return (PAGES / f"{name}.txt").read_bytes()


def read(
    page: bytes, *formats: Format, defaults: TargetDefaults = DEFAULTS
) -> tuple[PoolSample, ...]:
    """The pools of a page, read twice, because the second reading takes another way."""
    reader = PageReader(table(formats) if formats else automatic(), defaults)
    first = reader.read(page)
    assert reader.read(page) == first
    return first.pools


def lines(*series: str) -> bytes:
    """A page of these lines."""
    return "\n".join([*series, ""]).encode()
