"""The exporter's own state: whether its configuration, directories and lists are usable."""

from __future__ import annotations

from dataclasses import dataclass

from pg_pool_exporter.config import Shard
from pg_pool_exporter.discovery import Discovery, DiscoveryStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class ExporterStatus:
    """The exporter's configuration, directories and lists. Set by the code that uses them.

    A problem is the log's text about it; None without one.
    """

    shard: Shard | None = None
    """Its part of the configuration; None is all of it."""
    config_problem: str | None = None
    """Why the last (re)load of the configuration failed."""
    config_loaded: float = 0.0
    """When it succeeded last, in seconds since the epoch."""
    has_web_config: bool = False
    """Whether there is a `--web.config.file`."""
    web_config_problem: str | None = None
    socket_directory: str = ""
    """The socket directory, its owner, and the exporter's user; empty: none."""
    socket_directory_problem: str | None = None
    lists: tuple[DiscoveryStatus, ...] = ()
    """The state of service discovery."""

    @classmethod
    def of(cls, discovery: Discovery) -> ExporterStatus:
        """The state of the target lists and the socket directory."""
        return cls(
            socket_directory=discovery.socket_place,
            socket_directory_problem=discovery.socket_problem,
            lists=discovery.tasks.statuses,
        )
