"""The configuration and its thresholds: YAML to validated, frozen values, or all mistakes."""

from pg_pool_exporter.config.discovery import (
    DiscoveryConfig as DiscoveryConfig,
    DnsSdConfig as DnsSdConfig,
    HttpSdConfig as HttpSdConfig,
)
from pg_pool_exporter.config.document import read as read
from pg_pool_exporter.config.errors import ConfigError as ConfigError, Problem as Problem
from pg_pool_exporter.config.http_client import HttpClientConfig as HttpClientConfig
from pg_pool_exporter.config.kubernetes import KubernetesSdConfig as KubernetesSdConfig
from pg_pool_exporter.config.load import (
    from_dsn as from_dsn,
    load as load,
    validate as validate,
    with_socket_dir as with_socket_dir,
)
from pg_pool_exporter.config.models import (
    DEFAULT_LEAK_AFTER as DEFAULT_LEAK_AFTER,
    AppConfig as AppConfig,
    BouncerConfig as BouncerConfig,
    Config as Config,
    ConnectionConfig as ConnectionConfig,
    FactsConfig as FactsConfig,
    LogConfig as LogConfig,
    PoolConfig as PoolConfig,
    ProcessesConfig as ProcessesConfig,
    ServerConfig as ServerConfig,
)
from pg_pool_exporter.config.section import Section as Section
from pg_pool_exporter.config.sharding import (
    Shard as Shard,
    parse_shard as parse_shard,
    part_of as part_of,
)
from pg_pool_exporter.config.thresholds import (
    AppThresholds as AppThresholds,
    PoolThresholds as PoolThresholds,
    Thresholds as Thresholds,
)
from pg_pool_exporter.config.warnings import (
    changeable as changeable,
    exposed as exposed,
    warnings as warnings,
)
