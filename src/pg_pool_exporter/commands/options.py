"""The options of all commands, from the command line and the environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args
from urllib.parse import SplitResult

if TYPE_CHECKING:
    from pg_pool_exporter.web.server import Address

PROGRAM = "pg-pool-exporter"
PREFIX = "PG_POOL_EXPORTER_"
DSN_VARIABLE = f"{PREFIX}DSN"

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["logfmt", "json"]
LOG_LEVELS: tuple[LogLevel, ...] = get_args(LogLevel)
LOG_FORMATS: tuple[LogFormat, ...] = get_args(LogFormat)


class UsageError(Exception):
    """The command line or the environment is wrong. The message holds no secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Values of the flags. Durations are in seconds; None stands for the command's own default."""

    command: str
    config_file: Path | None = None
    dsn: str | None = field(default=None, repr=False)
    socket_dir: str | None = None
    web_listen_address: tuple[Address, ...] | None = None
    web_telemetry_path: str = "/metrics"
    web_config_file: Path | None = None
    web_enable_lifecycle: bool = False
    log_level: LogLevel = "info"
    log_format: LogFormat = "logfmt"
    duration: float | None = None
    demo_scenario: str = "leak"
    probe: bool = False
    url: SplitResult | None = field(default=None, repr=False)
    json: bool = False
    server: str | None = None
    older_than: float | None = None
    application: str | None = None
    pid: int | None = None
    yes: bool = False
