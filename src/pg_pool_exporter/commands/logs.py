"""The log: one line per event on standard error, logfmt or JSON, with UTC times (RFC 3339).

Events of the standard library's loggers (aiohttp, asyncio, psycopg) included.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

import structlog
from structlog.stdlib import ProcessorFormatter

from pg_pool_exporter.commands.command_line import unknown_variables
from pg_pool_exporter.commands.options import LogFormat, LogLevel, Options
from pg_pool_exporter.redaction import printable_lines, redact
from pg_pool_exporter.sockets import default_directory

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

log = structlog.get_logger(__name__)

_FIRST_KEYS = ("time", "level", "logger", "msg")


def start(options: Options) -> None:
    """Configure the log, and log likely mistakes in the environment."""
    configure(options.log_level, options.log_format)
    for sentence in unknown_variables(os.environ):
        log.warning(sentence)
    if options.config_file is None and options.dsn is None:
        directory = default_directory() if options.socket_dir is None else options.socket_dir
        log.info("no configuration: only processes with a socket are polled", directory=directory)


def configure(level: LogLevel, style: LogFormat) -> None:
    """Log events of at least `level`; those of libraries only from warnings on.

    Replaces the former configuration.
    """
    steps: list[Processor] = [
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
        structlog.processors.EventRenamer("msg"),
        _clean,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *steps,
            ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=steps,
            processors=[ProcessorFormatter.remove_processors_meta, _renderer(style)],
        )
    )
    # The handler's level holds for libraries that set the level of their loggers, as psycopg does.
    handler.setLevel(level.upper())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("pg_pool_exporter").setLevel(level.upper())
    logging.captureWarnings(True)


def _renderer(style: LogFormat) -> Processor:
    if style == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    return structlog.processors.LogfmtRenderer(bool_as_flag=False)


def _clean(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Make every value safe to write, and order the keys for a reader."""
    order = dict.fromkeys((*_FIRST_KEYS, *event))
    return {key: _safe(key, event[key]) for key in order if key in event}


def _safe(key: str, value: object) -> object:
    # Keys that start with an underscore are structlog's own.
    if isinstance(value, int | float | None) or key.startswith("_"):
        return value
    # Both formats write a line end as two characters.
    return printable_lines(redact(str(value)))
