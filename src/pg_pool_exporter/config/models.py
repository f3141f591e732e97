"""The keys of the configuration file, as frozen values.

A field that is left out of the repr is also left out of error messages: it can hold a password.
Checks stand at single fields wherever they can, so that one mistake doesn't hide the next.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    Strict,
    ValidationInfo,
    field_validator,
    model_validator,
)

from pg_pool_exporter.config.discovery import DiscoveryConfig
from pg_pool_exporter.config.dsn import check_dsn, has_password
from pg_pool_exporter.config.formats import FormatConfig
from pg_pool_exporter.config.http_client import HttpClientConfig
from pg_pool_exporter.config.section import Section
from pg_pool_exporter.config.thresholds import AppThresholds, PoolThresholds, Thresholds
from pg_pool_exporter.config.values import (
    ApplicationName,
    Command,
    Directory,
    Duration,
    Interval,
    LogPattern,
    Name,
    PageUrl,
    SecretFile,
    Timeout,
)
from pg_pool_exporter.formats import AUTO

_DEFAULT_INTERVAL = 5.0
_DEFAULT_TIMEOUT = 3.0
DEFAULT_LEAK_AFTER = 60.0
"""Leak threshold without a configured one, in seconds."""


def _check_secret_dsn(value: SecretStr) -> SecretStr:
    check_dsn(value.get_secret_value())
    return value


class _Named(Section):
    name: Name


class _Scheduled(Section):
    interval: Interval = _DEFAULT_INTERVAL
    timeout: Timeout = Field(default_factory=lambda data: min(_DEFAULT_TIMEOUT, data["interval"]))
    """Both in seconds."""


class ProcessesConfig(_Scheduled):
    """Polling of processes with a socket (`processes:`)."""


class LogConfig(_Scheduled):
    """Location and format of a server's log (`servers[].log`)."""

    sql: bool = False
    files: Annotated[tuple[LogPattern, ...], Strict(False)] = Field(
        default=(), validate_default=True
    )
    """Patterns of paths on this host; none when the log is read over SQL."""
    format: Literal["auto", "stderr", "csvlog", "jsonlog"] = "auto"
    line_prefix: str | None = Field(default=None, max_length=1000)
    """The server's log_line_prefix; None asks the server."""
    wrapping: Literal[
        "auto", "none", "docker", "cri", "compose", "syslog", "cloudnativepg", "json", "csv"
    ] = "auto"
    """The wrapping that a log shipper or container runtime puts around each line; auto detects
    all but csv."""

    @field_validator("files")
    @classmethod
    def _is_one_way(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        sql = info.data.get("sql")
        if sql is not None and bool(value) == sql:
            raise ValueError(
                "must be left out: sql is true"
                if sql
                else "must name the log's files, or sql must be true"
            )
        return value

    @field_validator("line_prefix")
    @classmethod
    def _is_of_use(cls, value: str | None, info: ValidationInfo) -> str | None:
        if info.data.get("format") in ("csvlog", "jsonlog"):
            raise ValueError("must be left out: only the format stderr has a prefix")
        return value


class FactsConfig(Section):
    """Further facts of a server (`servers[].facts`): off, because they cost series."""

    client_networks: bool = False
    """Sessions by network of the client's address."""
    ipv4_prefix: int = Field(default=24, ge=0, le=32)
    ipv6_prefix: int = Field(default=64, ge=0, le=128)
    """Lengths of the networks' prefixes."""
    wait_events: bool = False
    """Sessions by wait event."""
    idle_in_transaction: bool = False
    """Ages of the sessions that are idle in a transaction, as a histogram."""
    snapshots: bool = False
    """Which clients and other processes have the oldest snapshots."""


class ConnectionConfig(Section):
    """A connection as a client of PostgreSQL."""

    dsn: Annotated[SecretStr, AfterValidator(_check_secret_dsn)] = Field(repr=False)
    password_file: SecretFile | None = Field(default=None, repr=False)
    password_command: Command | None = Field(default=None, repr=False)

    @field_validator("password_file", "password_command")
    @classmethod
    def _is_the_only_password(cls, value: Any, info: ValidationInfo) -> Any:
        dsn = info.data.get("dsn")
        if dsn is not None and has_password(dsn.get_secret_value()):
            raise ValueError("must be left out: the dsn holds a password already")
        if info.data.get("password_file") is not None:
            raise ValueError("must be left out: there is a password_file already")
        return value


# Fields come in the order of the bases from right to left: the name first.
class ServerConfig(ConnectionConfig, _Scheduled, _Named):
    """A PostgreSQL server (`servers:`)."""

    max_groups: int = Field(default=100, ge=1, le=10_000)
    """Most groups of sessions with names; the rest is added up as `other`."""
    cores: int | None = Field(default=None, ge=1, le=10_000)
    """CPU cores of its machine, which SQL does not show: for the sizes of the pools."""
    facts: FactsConfig = FactsConfig()
    log: LogConfig | None = None


class BouncerConfig(ConnectionConfig, _Scheduled, _Named):
    """A PgBouncer, or one of its relatives, by its admin console (`pgbouncers:`)."""

    max_pools: int = Field(default=100, ge=1, le=10_000)
    """Most pools with names; the rest is added up as `other`."""
    max_groups: int = Field(default=100, ge=1, le=10_000)
    """Most groups of clients by pool and application with names; the rest is `other`."""
    max_clients: int = Field(default=20_000, ge=0, le=40_000)
    """Of more clients, or connections to servers, the applications are not read."""


class PoolConfig(_Named):
    """Settings of one of an application's pools (`apps[].pools`)."""

    thresholds: PoolThresholds = PoolThresholds()


class AppConfig(DiscoveryConfig, HttpClientConfig, _Scheduled, _Named):
    """An application (`apps:`): its name on the servers, and its metrics endpoints."""

    server: Name | None = None
    """Server that its pools connect to, where their metrics page has no host and port."""
    bouncers: Annotated[tuple[Name, ...], Strict(False)] = ()
    """PgBouncers that share the connections of its pools, in place of a server."""

    application_name: ApplicationName = Field(
        default_factory=lambda data: data["name"], validate_default=True
    )
    leak_after: Duration = DEFAULT_LEAK_AFTER
    """Age in seconds at which one of its checkouts is overdue."""
    long_lived: int = Field(default=0, ge=0, le=100_000)
    """Connections of each of its pools that are checked out forever on purpose."""
    max_connections: int | None = Field(default=None, ge=1, le=100_000)
    """Upper limit of each of its pools, where their metrics page has none."""
    format: Name = AUTO
    """Names of the series: a known format or one of `formats`. `load` checks it."""
    targets: Annotated[tuple[PageUrl, ...], Strict(False)] = Field(default=(), repr=False)
    """Where its metrics endpoints are."""
    thresholds: AppThresholds = AppThresholds()
    """Its own; what they leave out is as for everything."""
    pools: Annotated[tuple[PoolConfig, ...], Strict(False)] = ()
    """Pools with thresholds of their own."""

    @field_validator("bouncers")
    @classmethod
    def _is_one_place(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if value and info.data.get("server"):
            raise ValueError("must be left out: there is a server already")
        return value

    @model_validator(mode="after")
    def _keeps_credentials_encrypted(self) -> Self:
        self.require_encryption("must have https targets", self.targets)
        return self


class Config(Section):
    """The whole file."""

    socket_dir: Directory | None = None
    """Directory of the processes' sockets; None is the default one, "" is none."""
    processes: ProcessesConfig = ProcessesConfig()
    servers: Annotated[tuple[ServerConfig, ...], Strict(False)] = ()
    apps: Annotated[tuple[AppConfig, ...], Strict(False)] = ()
    pgbouncers: Annotated[tuple[BouncerConfig, ...], Strict(False)] = ()
    formats: Annotated[tuple[FormatConfig, ...], Strict(False)] = ()
    """Formats of metrics pages that are not built in."""
    thresholds: Thresholds = Thresholds()
    """The thresholds of everything without its own."""
    state_dir: Directory | None = None
    """Directory for the state that survives a restart; None is the default one, "" is none."""
