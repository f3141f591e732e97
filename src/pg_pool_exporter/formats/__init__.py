"""How other libraries show their pools: formats as data, for the reader, the rules and the docs.

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
"""The name of our own format. A page that has it has been instrumented on purpose: its other
formats, which would show the same pools once more, are not read beside it."""

AUTO = "auto"
"""Whatever known format a page has."""

JOLOKIA = "jolokia"
"""HikariCP's MBeans, which are no page (`sources/jolokia.py`)."""

JOLOKIA_PATH = "/jolokia"

DEFAULT_POOL = "default"
"""The name of a pool whose page does not name it."""

UNLIMITED = 2**31 - 1
"""A maximum of 0, or from this on (Java's `Integer.MAX_VALUE`), stands for none."""

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
