"""`pg-pool-exporter once`: polls all targets once and prints the metrics."""

from __future__ import annotations

import asyncio

from pg_pool_exporter.commands import logs
from pg_pool_exporter.commands.configuration import configuration
from pg_pool_exporter.commands.options import Options
from pg_pool_exporter.commands.output import FAILURE, SUCCESS, write
from pg_pool_exporter.commands.single_poll import poll_once


def main(options: Options) -> int:
    """Print the metrics of one poll; the exit code. Raises `ConfigError`."""
    logs.start(options)
    outcome = asyncio.run(poll_once(configuration(options)))
    write(outcome.page)
    return SUCCESS if outcome.successful else FAILURE
