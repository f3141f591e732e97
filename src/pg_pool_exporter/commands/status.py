"""The exporter's own state, by its service discovery."""

from __future__ import annotations

from pg_pool_exporter.analysis.exporter_status import ExporterStatus
from pg_pool_exporter.discovery import Discovery


def status_of(discovery: Discovery) -> ExporterStatus:
    """The state of the target lists and the socket directory."""
    return ExporterStatus(
        socket_directory=discovery.socket_place,
        socket_directory_problem=discovery.socket_problem,
        lists=discovery.tasks.statuses,
    )
