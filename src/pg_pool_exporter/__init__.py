"""Prometheus exporter for PostgreSQL connection pools.

Importing this package imports nothing but the standard library: applications import
`pg_pool_exporter.client`, the exporter is reached through the command `pg-pool-exporter`.
"""

__version__ = "0.1.0"
