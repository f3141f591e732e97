"""Foreign pages: formats of other libraries' pools as data, for the reader, rules and docs.

Our own format is not here: `metrics.series` has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pg_pool_exporter.formats.beam import PROMEX
from pg_pool_exporter.formats.bouncers import (
    CNPG,
    ODYSSEY,
    PGAGROAL,
    PGBOUNCER_EXPORTER,
    PGCAT,
    PGDOG,
    SUPAVISOR,
)
from pg_pool_exporter.formats.format import (
    ANYTHING as ANYTHING,
    MICROSECONDS as MICROSECONDS,
    MILLISECONDS as MILLISECONDS,
    NANOSECONDS as NANOSECONDS,
    Aliases as Aliases,
    Condition as Condition,
    Format as Format,
    Labels as Labels,
    Value as Value,
    first_of as first_of,
)
from pg_pool_exporter.formats.go import GO_SQL, OTELPGX, OTELSQL, PGX_POOL, PGXPOOL
from pg_pool_exporter.formats.jvm import (
    AGROAL,
    COMMONS_POOL2,
    HIKARICP,
    LIBERTY,
    MICROMETER,
    QUARKUS_REACTIVE,
    R2DBC,
    SPRING_JDBC,
    VERTX,
    WILDFLY,
)
from pg_pool_exporter.formats.node import NODE_POSTGRES, PRISMA
from pg_pool_exporter.formats.opentelemetry import NPGSQL, OTEL, OTEL_OLD
from pg_pool_exporter.formats.ruby import RAILS, YABEDA

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
            AGROAL,
            R2DBC,
            VERTX,
            QUARKUS_REACTIVE,
            COMMONS_POOL2,
            WILDFLY,
            LIBERTY,
            NODE_POSTGRES,
            PRISMA,
            OTEL,
            OTEL_OLD,
            NPGSQL,
            PGXPOOL,
            PGX_POOL,
            OTELPGX,
            GO_SQL,
            OTELSQL,
            RAILS,
            YABEDA,
            PROMEX,
            PGBOUNCER_EXPORTER,
            CNPG,
            PGCAT,
            PGDOG,
            ODYSSEY,
            SUPAVISOR,
            PGAGROAL,
        )
    }
)
"""By name."""
