"""Formats of other libraries' pools as data, for the reader, the rules and the docs.

Our own format is not here: `series` has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pg_pool_exporter.formats.format import (
    MICROSECONDS,
    MILLISECONDS,
    NANOSECONDS,
    Aliases,
    Condition,
    Format,
    Labels,
    Value,
    first_of,
)
from pg_pool_exporter.formats.jvm import HIKARICP, MICROMETER, SPRING_JDBC
from pg_pool_exporter.formats.opentelemetry import NPGSQL, OTEL, OTEL_OLD
from pg_pool_exporter.formats.others import GO_SQL, NODE_POSTGRES, PGX_POOL, PGXPOOL, RAILS

__all__ = [
    "AUTO",
    "DEFAULT_POOL",
    "FORMATS",
    "JOLOKIA",
    "JOLOKIA_PATH",
    "MICROSECONDS",
    "MILLISECONDS",
    "NANOSECONDS",
    "NATIVE_NAME",
    "UNLIMITED",
    "Aliases",
    "Condition",
    "Format",
    "Labels",
    "Value",
    "first_of",
]

NATIVE_NAME = "native"
"""The name of our own format. On a page in it no other format is read: that would show the same
pools again."""

AUTO = "auto"
"""Any known format."""

JOLOKIA = "jolokia"
"""HikariCP's MBeans, see `sources/pages/jolokia.py`."""

JOLOKIA_PATH = "/jolokia"

DEFAULT_POOL = "default"
"""The name of a pool without a name on its page."""

UNLIMITED = 2**31 - 1
"""A maximum of 0, or of at least this (Java's `Integer.MAX_VALUE`), means unlimited."""

FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        form.name: form
        for form in (
            MICROMETER,
            HIKARICP,
            SPRING_JDBC,
            NODE_POSTGRES,
            OTEL,
            OTEL_OLD,
            NPGSQL,
            PGXPOOL,
            PGX_POOL,
            GO_SQL,
            RAILS,
        )
    }
)
"""By name."""
