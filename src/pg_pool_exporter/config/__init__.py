"""The configuration: YAML to validated, frozen values, or all mistakes at once."""

from pg_pool_exporter.config.access import AccessConfig
from pg_pool_exporter.config.discovery import DiscoveryConfig, DnsConfig, HttpConfig
from pg_pool_exporter.config.document import read
from pg_pool_exporter.config.errors import ConfigError, Problem
from pg_pool_exporter.config.load import from_dsn, load, validate
from pg_pool_exporter.config.models import (
    DEFAULT_LEAK_AFTER,
    AppConfig,
    BouncerConfig,
    Config,
    ConnectionConfig,
    LogConfig,
    ProcessesConfig,
    ServerConfig,
)
from pg_pool_exporter.config.pace import too_slow
from pg_pool_exporter.config.section import Section

__all__ = [
    "DEFAULT_LEAK_AFTER",
    "AccessConfig",
    "AppConfig",
    "BouncerConfig",
    "Config",
    "ConfigError",
    "ConnectionConfig",
    "DiscoveryConfig",
    "DnsConfig",
    "HttpConfig",
    "LogConfig",
    "Problem",
    "ProcessesConfig",
    "Section",
    "ServerConfig",
    "from_dsn",
    "load",
    "read",
    "too_slow",
    "validate",
]
