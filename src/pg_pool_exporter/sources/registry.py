"""The kinds of targets, and what reads each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from pg_pool_exporter.sources.app_page import app_source
from pg_pool_exporter.sources.base import Source
from pg_pool_exporter.sources.exposition_text import SocketSource
from pg_pool_exporter.sources.pgbouncer import BouncerSource
from pg_pool_exporter.sources.postgres import PostgresSource
from pg_pool_exporter.sources.postgres_log import log_source

Kind = Literal["server", "log", "app", "process", "bouncer"]

SOURCES: Mapping[Kind, Callable[..., Source]] = {
    "server": PostgresSource,
    "log": log_source,
    "app": app_source,
    "process": SocketSource,
    "bouncer": BouncerSource,
}
