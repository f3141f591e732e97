"""The configuration: YAML to validated, frozen values, or all mistakes at once."""

from pg_pool_exporter.config.document import read
from pg_pool_exporter.config.errors import ConfigError, Problem
from pg_pool_exporter.config.load import DSN_VARIABLE, from_dsn, load, validate
from pg_pool_exporter.config.models import (
    AppConfig,
    Config,
    LogConfig,
    ProcessesConfig,
    Section,
    ServerConfig,
)

__all__ = [
    "DSN_VARIABLE",
    "AppConfig",
    "Config",
    "ConfigError",
    "LogConfig",
    "Problem",
    "ProcessesConfig",
    "Section",
    "ServerConfig",
    "from_dsn",
    "load",
    "read",
    "validate",
]
