"""Pools of Node."""

from __future__ import annotations

from pg_pool_exporter.formats.format import MILLISECONDS, Format, value

NODE_POSTGRES = Format(
    name="node-postgres",
    title="node-postgres by @christiangalsterer/node-postgres-prometheus-exporter",
    client="node-postgres",
    # Its names begin as our own do; none is the same.
    # `host` has the port in it.
    pool=(("host",), ("database",)),
    values=(
        value("max", "pg_pool_max"),
        value("idle", "pg_pool_idle_connections"),
        value("active", "pg_pool_active_connections"),
        value("waiting", "pg_pool_waiting_connections"),
        value("connects", "pg_pool_connections_created_total"),
    ),
    facts="node-postgres-prometheus-exporter 1.4.0, pgPoolPrometheusExporter.js",
    run="version 1.4, pg 8.23",
)

PRISMA = Format(
    name="prisma",
    title="Prisma 5 and 6 (preview feature `metrics`; gone in 7)",
    client="Prisma",
    values=(
        value("idle", "prisma_pool_connections_idle"),
        value("active", "prisma_pool_connections_busy"),
        value("waiting", "prisma_client_queries_wait"),
        value(
            "acquire_wait",
            "prisma_client_queries_wait_histogram_ms_sum",
            scale=MILLISECONDS,
        ),
        value("acquired", "prisma_client_queries_wait_histogram_ms_count"),
        value(
            "connects",
            "prisma_pool_connections_opened_total",
            note="`connection_limit` is not on the page: set `max_connections`.",
        ),
    ),
    facts="Prisma's documentation of its metrics, version 6",
)
