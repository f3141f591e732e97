"""The configuration and its thresholds: YAML to validated, frozen values, or all mistakes."""

from pg_pool_exporter.config.discovery import DiscoveryConfig, DnsSdConfig, HttpSdConfig
from pg_pool_exporter.config.document import read
from pg_pool_exporter.config.errors import ConfigError, Problem
from pg_pool_exporter.config.http_client import HttpClientConfig
from pg_pool_exporter.config.kubernetes import KubernetesSdConfig
from pg_pool_exporter.config.load import from_dsn, load, validate, with_socket_dir
from pg_pool_exporter.config.models import (
    DEFAULT_LEAK_AFTER,
    AppConfig,
    BouncerConfig,
    Config,
    ConnectionConfig,
    FactsConfig,
    LogConfig,
    PoolConfig,
    ProcessesConfig,
    ServerConfig,
)
from pg_pool_exporter.config.section import Section
from pg_pool_exporter.config.sharding import Shard, parse_shard, part_of
from pg_pool_exporter.config.thresholds import AppThresholds, PoolThresholds, Thresholds
from pg_pool_exporter.config.warnings import changeable, exposed, warnings

__all__ = [
    "DEFAULT_LEAK_AFTER",
    "AppConfig",
    "AppThresholds",
    "BouncerConfig",
    "Config",
    "ConfigError",
    "ConnectionConfig",
    "DiscoveryConfig",
    "DnsSdConfig",
    "FactsConfig",
    "HttpClientConfig",
    "HttpSdConfig",
    "KubernetesSdConfig",
    "LogConfig",
    "PoolConfig",
    "PoolThresholds",
    "Problem",
    "ProcessesConfig",
    "Section",
    "ServerConfig",
    "Shard",
    "Thresholds",
    "changeable",
    "exposed",
    "from_dsn",
    "load",
    "parse_shard",
    "part_of",
    "read",
    "validate",
    "warnings",
    "with_socket_dir",
]
