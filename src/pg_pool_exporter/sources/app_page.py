"""The page of one process of an application, as the configuration describes it."""

from __future__ import annotations

from dataclasses import dataclass, field

from pg_pool_exporter.formats import AUTO, FORMATS, NATIVE_NAME
from pg_pool_exporter.sources.base import Source
from pg_pool_exporter.sources.exposition_text import ExpositionTextSource
from pg_pool_exporter.sources.foreign_page import automatic, table
from pg_pool_exporter.sources.native_page import NATIVE
from pg_pool_exporter.sources.origin import UNKNOWN, Origin
from pg_pool_exporter.sources.page_table import Table


@dataclass(frozen=True, slots=True)
class AppPage:
    """Where a page is, and how it is read."""

    url: str = field(repr=False)
    """Its query can hold a token."""
    origin: Origin = UNKNOWN
    format: str = AUTO


def app_source(page: AppPage) -> Source:
    """What reads `page`."""
    return ExpositionTextSource(page.url, _table(page.format), page.origin)


def _table(name: str) -> Table:
    if name == AUTO:
        return automatic()
    return NATIVE if name == NATIVE_NAME else table([FORMATS[name]])
