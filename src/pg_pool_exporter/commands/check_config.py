"""`pg-pool-exporter check-config`: validates the configuration and, if asked, all targets."""

from __future__ import annotations

import asyncio
import os

from pg_pool_exporter.commands import logs
from pg_pool_exporter.commands.command_line import unknown_variables
from pg_pool_exporter.commands.configuration import configuration
from pg_pool_exporter.commands.daemon import probe
from pg_pool_exporter.commands.options import DSN_VARIABLE, Options
from pg_pool_exporter.commands.output import FAILURE, SUCCESS, complain, count, write
from pg_pool_exporter.config import Config, warnings
from pg_pool_exporter.web import config as web_config


def main(options: Options) -> int:
    """Print what the configuration holds; the exit code. Raises `ConfigError`."""
    for sentence in unknown_variables(os.environ):
        complain(sentence)
    config = configuration(options)
    if options.web_config_file is not None:
        web_config.load(options.web_config_file)
    for sentence in warnings(config, options.config_file):
        complain(f"warning: {sentence}")
    origin = options.config_file or (DSN_VARIABLE if options.dsn is not None else "no file")
    counts = (
        count(len(config.servers), "server"),
        count(len(config.apps), "app"),
        count(len(config.pgbouncers), "bouncer"),
    )
    write(f"{origin}: valid, {', '.join(counts)}\n")
    return _probe(options, config) if options.probe else SUCCESS


def _probe(options: Options, config: Config) -> int:
    """Poll all targets once and print the results. The log on standard error has the causes."""
    logs.configure(options.log_level, options.log_format)
    polled = asyncio.run(probe(config))
    for one in polled.discovered:
        condition = f"{'ok' if one.up else 'failed'}, {count(one.targets, 'target')}"
        write(f"{one.mechanism} {one.name} of {one.app}: {condition}\n")
    for state in polled.states:
        health = state.health
        condition = "ok" if health.up else f"failed ({health.reason}): {health.error}"
        write(f"{state.key.title}: {condition}\n")
    return SUCCESS if polled.successful else FAILURE
