"""The log: one line an event on standard error, logfmt or JSON, with UTC times (RFC 3339).

Events of the standard library's loggers (aiohttp, asyncio, psycopg) take the same way.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal, get_args

import structlog
from structlog.stdlib import ProcessorFormatter

from pg_pool_exporter.redaction import redact

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["logfmt", "json"]
LEVELS: tuple[Level, ...] = get_args(Level)
FORMATS: tuple[Format, ...] = get_args(Format)

_FIRST_KEYS = ("time", "level", "logger", "msg")


def configure(level: Level, style: Format) -> None:
    """Send every event of at least `level` to standard error.

    Those of libraries never below a warning. Replaces what was configured before.
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
    # The handler's level holds for libraries that set that of their loggers, as psycopg does.
    handler.setLevel(level.upper())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("pg_pool_exporter").setLevel(level.upper())
    logging.captureWarnings(True)


def _renderer(style: Format) -> Processor:
    if style == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    return structlog.processors.LogfmtRenderer(bool_as_flag=False)


def _clean(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Every value safe to write, in the order in which a person reads them."""
    order = dict.fromkeys((*_FIRST_KEYS, *event))
    return {key: _safe(key, event[key]) for key in order if key in event}


def _safe(key: str, value: object) -> object:
    # Keys with an underscore are structlog's own notes to its formatter.
    if isinstance(value, int | float | None) or key.startswith("_"):
        return value
    return _text(value)


def _text(value: object) -> str:
    text = redact(str(value))
    if text.isprintable():
        return text
    # Neither format may carry what moves a terminal's cursor; both write \n as two characters.
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)
