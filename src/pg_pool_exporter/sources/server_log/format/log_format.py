"""The format of a log, and the events that it leaves uncounted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.server_log.format.layouts import Csv, Format, Json, Layout, Stderr
from pg_pool_exporter.sources.server_log.format.prefix import parse
from pg_pool_exporter.sources.server_log.format.settings import LogSettings
from pg_pool_exporter.sources.server_log.messages.catalogue import messages, texts_for
from pg_pool_exporter.sources.server_log.unwrapping.heads import WRAPPINGS, Wrapping

_FORMATS: tuple[Format, ...] = ("stderr", "csvlog", "jsonlog")
_UNREACHED = (
    "the server has not been reached yet; set format and line_prefix in the configuration to read "
    "its log all the same"
)


class LogFormat(NamedTuple):
    """The format of a log."""

    name: Format
    line_prefix: str | None
    """`log_line_prefix`; None where it is unknown and the format is not `stderr`."""
    languages: tuple[str, ...] | None
    """Of its messages; None: any."""
    wrapping: str = "auto"
    """The wrapping of each line: one of `WRAPPINGS`, or "auto"."""
    is_fixed: bool = True
    """Whether lines of another format are none of this log."""

    def layout(self, form: Format | None = None, *, headless: bool = False) -> Layout:
        """Where the parts of a record stand, in this format or in another one.

        With `headless` a line may lack the time and process id of the prefix.
        """
        form = form or self.name
        if form == "stderr":
            words = texts_for(messages(self.languages), "LOG")
            return Stderr(parse(self.line_prefix or ""), words, headless=headless)
        return Csv() if form == "csvlog" else Json()

    @property
    def unwrapped(self) -> frozenset[Wrapping]:
        """The wrappings that a line may have."""
        if self.wrapping != "auto":
            return frozenset(one for one in WRAPPINGS if one == self.wrapping)
        # Any text can have commas, also one that quotes a record.
        others: set[Wrapping] = {"csv"}
        if "|" in (self.line_prefix or ""):
            others.add("compose")  # whose output looks like such a prefix
        return frozenset(WRAPPINGS) - others

    @property
    def has_prefix(self) -> bool:
        """Whether `log_line_prefix` is known."""
        return self.line_prefix is not None

    @property
    def has_time(self) -> bool:
        """Whether each record begins with the time it was written."""
        return self.name != "stderr" or any(
            escape in (self.line_prefix or "") for escape in ("%m", "%t", "%n")
        )

    @property
    def has_database(self) -> bool:
        """Whether each record of a session names its database."""
        return self.name != "stderr" or parse(self.line_prefix or "").has_database

    def __str__(self) -> str:
        return (
            f"stderr with log_line_prefix {self.line_prefix!r}"
            if self.name == "stderr"
            else self.name
        )


def choose_format(
    configured: str, line_prefix: str | None, settings: LogSettings | None, wrapping: str = "auto"
) -> LogFormat:
    """The format from the configuration, completed by the server's settings.

    Raises `PollError` if both together do not determine it.
    """
    languages = settings.languages if settings is not None else None
    is_fixed = configured != "auto"
    if is_fixed:
        name = next(one for one in _FORMATS if one == configured)
    elif settings is None:
        raise PollError("other", "the log's format is unknown: " + _UNREACHED)
    elif not settings.formats:
        raise PollError(
            "other", "log_destination has none of stderr, csvlog and jsonlog: add one of them"
        )
    else:
        name = settings.formats[0]
    if line_prefix is None and settings is not None:
        line_prefix = settings.line_prefix
    if name == "stderr" and line_prefix is None:
        raise PollError("other", "log_line_prefix is unknown: " + _UNREACHED)
    return LogFormat(name, line_prefix, languages, wrapping, is_fixed)


class Gap(NamedTuple):
    """Something that is not counted, and the setting that changes it."""

    text: str
    remedy: str


def gaps(settings: LogSettings, form: LogFormat) -> Iterator[Gap]:
    """The events that the server's settings keep out of its log."""
    for logged, what in (
        (settings.errors, "timeouts of statements and locks"),
        (settings.fatals, "other timeouts and refused connections"),
        (settings.sessions, "opened and closed sessions"),
    ):
        if logged is False:
            yield Gap(f"{what} are not logged", "log_min_messages = warning")
    if settings.errors is None:
        yield Gap(
            "log_min_messages of the server is unknown: the exporter's role, its database or the "
            "dsn sets another one, so counters are absent until the log shows one of their events",
            "remove that setting, and restart the exporter",
        )
    if settings.opened is False:
        yield Gap("opened sessions are not logged", "log_connections = on")
    if settings.closed is False:
        yield Gap("closed sessions are not logged", "log_disconnections = on")
    if form.name == "stderr":
        prefix = parse(form.line_prefix or "")
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
