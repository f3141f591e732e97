"""How a log is written, and what that leaves uncounted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.server_log.layouts import Csv, Format, Json, Layout, Stderr
from pg_pool_exporter.sources.server_log.messages import messages, texts_for
from pg_pool_exporter.sources.server_log.prefix import parse
from pg_pool_exporter.sources.server_log.settings import LogSettings

_FORMATS: tuple[Format, ...] = ("stderr", "csvlog", "jsonlog")
_UNREACHED = (
    "the server has not been reached yet; set format and line_prefix in the configuration to read "
    "its log all the same"
)


class LogFormat(NamedTuple):
    """How a log is written."""

    name: Format
    line_prefix: str
    """`log_line_prefix`; "" unless the format is `stderr`."""
    languages: tuple[str, ...] | None
    """Of its messages; None: any."""

    def layout(self) -> Layout:
        """Where the parts of a record stand."""
        if self.name == "stderr":
            return Stderr(parse(self.line_prefix), texts_for(messages(self.languages), "LOG"))
        return Csv() if self.name == "csvlog" else Json()

    @property
    def has_time(self) -> bool:
        """Whether each record begins with the time it was written."""
        return self.name != "stderr" or any(
            escape in self.line_prefix for escape in ("%m", "%t", "%n")
        )

    @property
    def has_database(self) -> bool:
        """Whether each record of a session names its database."""
        return self.name != "stderr" or parse(self.line_prefix).has_database


def choose_format(
    configured: str, line_prefix: str | None, settings: LogSettings | None
) -> LogFormat:
    """The format from the configuration, completed by the server's settings.

    Raises `PollError` if both together do not determine it.
    """
    languages = settings.languages if settings is not None else None
    if configured != "auto":
        name = next(one for one in _FORMATS if one == configured)
    elif settings is None:
        raise PollError("other", "the log's format is unknown: " + _UNREACHED)
    elif not settings.formats:
        raise PollError(
            "other", "log_destination has none of stderr, csvlog and jsonlog: add one of them"
        )
    else:
        name = settings.formats[0]
    if name != "stderr":
        return LogFormat(name, "", languages)
    if line_prefix is None:
        if settings is None:
            raise PollError("other", "log_line_prefix is unknown: " + _UNREACHED)
        line_prefix = settings.line_prefix
    return LogFormat(name, line_prefix, languages)


class Gap(NamedTuple):
    """Something that is not counted, and the setting that changes it."""

    text: str
    remedy: str


def gaps(settings: LogSettings, form: LogFormat) -> Iterator[Gap]:
    """What the server's settings keep out of its log."""
    if not settings.errors:
        yield Gap("errors are not logged, so most timeouts are not", "log_min_messages = warning")
    if not settings.opened:
        yield Gap("opened sessions are not logged", "log_connections = on")
    if not settings.closed:
        yield Gap("closed sessions are not logged", "log_disconnections = on")
    if form.name == "stderr":
        prefix = parse(form.line_prefix)
        if not prefix.has_database:
            yield Gap(
                'log_line_prefix has no database: timeouts are counted as database="unknown"',
                "add %d to log_line_prefix",
            )
        if not prefix.has_code:
            yield Gap(
                "log_line_prefix has no SQLSTATE: errors are recognised by their texts only",
                "add %e to log_line_prefix",
            )
