"""The page of one process of an application, as the configuration describes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp

from pg_pool_exporter.config import HttpClientConfig
from pg_pool_exporter.config.page_address import PageAddress
from pg_pool_exporter.formats import AUTO, FORMATS, JOLOKIA, NATIVE_NAME, Format
from pg_pool_exporter.sources.base import Source
from pg_pool_exporter.sources.http.client import TcpConnector
from pg_pool_exporter.sources.pages.jolokia import JolokiaSource
from pg_pool_exporter.sources.pages.series.foreign_page import automatic, table
from pg_pool_exporter.sources.pages.series.native_page import NATIVE
from pg_pool_exporter.sources.pages.series.table import Table
from pg_pool_exporter.sources.pages.target_defaults import NO_DEFAULTS, TargetDefaults
from pg_pool_exporter.sources.pages.text_source import ExpositionTextSource


@dataclass(frozen=True, slots=True)
class AppPage:
    """Where a page is, and how it is read.

    Fields without a hash are left out of the hash, not of equality.
    """

    address: PageAddress = field(repr=False)
    """Its query can hold a token."""
    defaults: TargetDefaults = NO_DEFAULTS
    format: Format | str = field(default=AUTO, hash=False)
    """A name that is known, or a format of the configuration."""
    http_client: HttpClientConfig = field(default=HttpClientConfig(), hash=False, repr=False)


def app_source(page: AppPage) -> Source:
    """The source that reads `page`."""
    connector = connector_to(page.address)
    url, defaults = page.address.url, page.defaults

    if page.format == JOLOKIA:
        return JolokiaSource(url, defaults, connector=connector, http_client=page.http_client)
    return ExpositionTextSource(
        url,
        table_of(page.format),
        defaults,
        connector=connector,
        http_client=page.http_client,
        owner=defaults.app,
    )


def connector_to(address: PageAddress) -> Callable[[], aiohttp.BaseConnector]:
    """What connects to the address."""
    socket = address.socket
    return (lambda: aiohttp.UnixConnector(socket)) if socket else TcpConnector


def table_of(form: Format | str) -> Table:
    """The table of a page in this format: a name that is known, but `jolokia`, or a format."""
    if form == AUTO:
        return automatic()
    if form == NATIVE_NAME:
        return NATIVE
    return table([FORMATS[form] if isinstance(form, str) else form])
