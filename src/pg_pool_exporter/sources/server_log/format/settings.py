"""The settings of a server's log."""

from __future__ import annotations

from dataclasses import dataclass

from pg_pool_exporter.sources.server_log.format.layouts import Format


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """The settings of a server that concern its log."""

    line_prefix: str
    formats: tuple[Format, ...]
    """Those that it writes, the preferred one first; syslog and eventlog are not supported."""
    collector: bool
    opened: bool | None
    """Whether opened sessions are logged; None: unknown."""
    closed: bool | None
    errors: bool | None
    """Whether `log_min_messages` lets errors of statements into the log; None: unknown."""
    fatals: bool | None
    """The same of errors that end or refuse a session."""
    sessions: bool | None
    """The same of records of opened and closed sessions."""
    languages: tuple[str, ...]
    databases: tuple[str, ...]
    role: str
    """The exporter's own role."""
    file: str | None = None
    """`log_directory` and `log_filename` together, which the collector writes to; None: unknown."""
