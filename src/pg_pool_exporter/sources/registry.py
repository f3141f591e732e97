"""Which source reads each kind of target."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pg_pool_exporter.model import Kind
from pg_pool_exporter.sources.base import Source
from pg_pool_exporter.sources.pages.app_page import app_source
from pg_pool_exporter.sources.pages.socket_source import SocketSource
from pg_pool_exporter.sources.pgbouncer.source import BouncerSource
from pg_pool_exporter.sources.postgres.source import PostgresSource
from pg_pool_exporter.sources.server_log import log_source

SOURCES: Mapping[Kind, Callable[..., Source]] = {
    "server": PostgresSource,
    "log": log_source,
    "app": app_source,
    "process": SocketSource,
    "bouncer": BouncerSource,
}
