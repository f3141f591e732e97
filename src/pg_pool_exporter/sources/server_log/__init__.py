"""A PostgreSQL server's own log: from its bytes to counts of events. No text of it is kept.

The way of the data: `file_source` or `sql_source` reads bytes from the position that `tail` keeps
(`positions`); `counting` makes lines of them without their wrapping (`unwrapping`), finds the
records (`format`, `messages`) and counts their events. `settings` asks the server how it logs.
"""

from __future__ import annotations

from pathlib import Path

from pg_pool_exporter.config import ServerConfig
from pg_pool_exporter.sources.base import Source
from pg_pool_exporter.sources.server_log.context import ServerLogContext
from pg_pool_exporter.sources.server_log.file_source import FileLogSource
from pg_pool_exporter.sources.server_log.positions.state import StateFile
from pg_pool_exporter.sources.server_log.sql_source import SqlLogSource


def log_source(
    server: ServerConfig, state_directory: str, context: ServerLogContext, look_back: int = 0
) -> Source:
    """The source that reads the log of `server`, from files or over SQL as configured.

    Positions and counts are kept in `state_directory`, or only in memory if it is "". `context` is
    shared with the source that polls the server. `look_back` are the bytes at the log's end that
    the first poll reads, too.
    """
    assert server.log is not None
    file = StateFile(Path(state_directory), server.name) if state_directory else None
    source = SqlLogSource if server.log.sql else FileLogSource
    return source(server, file, context, look_back=look_back)
