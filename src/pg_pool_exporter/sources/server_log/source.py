"""A server's own log: what it tells of time-outs and of sessions opened, closed and refused."""

from __future__ import annotations

from pathlib import Path

from pg_pool_exporter.config import ServerConfig
from pg_pool_exporter.sources.base import Source
from pg_pool_exporter.sources.server_log.context import Board
from pg_pool_exporter.sources.server_log.file_source import FileLogSource
from pg_pool_exporter.sources.server_log.sql_source import SqlLogSource
from pg_pool_exporter.sources.server_log.state import StateFile


def log_source(server: ServerConfig, state_directory: str, board: Board) -> Source:
    """What reads the log of `server`, over SQL or from files, as its configuration says.

    Its state file is in `state_directory`; with "" there is none. `board` is shared with the source
    that polls the server.
    """
    file = StateFile(Path(state_directory), server.name) if state_directory else None
    assert server.log is not None
    source = SqlLogSource if server.log.sql else FileLogSource
    return source(server, file, board)
