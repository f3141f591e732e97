"""`pg-pool-exporter check-config`: validates the configuration and, if asked, all targets."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from psycopg.sql import Identifier

from pg_pool_exporter.analysis.exporter_status import ExporterStatus
from pg_pool_exporter.commands import logs
from pg_pool_exporter.commands.command_line import unknown_variables
from pg_pool_exporter.commands.configuration import configuration
from pg_pool_exporter.commands.options import DSN_VARIABLE, Options
from pg_pool_exporter.commands.output import FAILURE, SUCCESS, complain, count, write
from pg_pool_exporter.commands.single_poll import probe
from pg_pool_exporter.config import Config, warnings
from pg_pool_exporter.discovery import DiscoveryStatus
from pg_pool_exporter.model import LogCounts, PoolInfo, PoolSample, ServerSettings
from pg_pool_exporter.polling.store import TargetState
from pg_pool_exporter.web import config as web_config

_MOST_POOLS = 5
"""Pools of one page that are named."""


def main(options: Options) -> int:
    """Print the contents of the configuration; the exit code. Raises `ConfigError`."""
    for sentence in unknown_variables(os.environ):
        complain(sentence)
    config = configuration(options)
    found = [*warnings(config, options.config_file)]
    if options.web_config_file is not None:
        found += web_config.load(options.web_config_file).warnings
    for sentence in found:
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
    """Poll all targets once and print the results: a line each, and one for each missing right."""
    logs.configure("warning", options.log_format)
    for room in ("discovery", "polling", "sources.postgres"):
        # The printed lines have everything that these log.
        logging.getLogger(f"pg_pool_exporter.{room}").setLevel(logging.ERROR)
    polled = asyncio.run(probe(config))
    lines = [
        *map(_listed, polled.exporter.lists),
        *_socket_directory(polled.exporter),
        *chain.from_iterable(map(_polled, polled.states)),
        *_without_server(config, polled.states),
    ]
    for line in lines:
        write(f"{line.text}\n")
    if not polled.states:
        directory = polled.exporter.socket_directory
        where = (
            f"no application has a socket in {directory}"
            if directory
            else "no socket directory: name servers or apps in the configuration"
        )
        write(f"no target: {where}\n")
    return SUCCESS if all(line.is_fine for line in lines) else FAILURE


class _Line(NamedTuple):
    text: str
    is_fine: bool


def _listed(status: DiscoveryStatus) -> _Line:
    targets = count(status.targets, "target")
    condition = f"ok, {targets}" if status.up else f"failed, {targets}: {status.problem}"
    return _Line(f"{status.mechanism} {status.name} of {status.app}: {condition}", status.up)


def _socket_directory(exporter: ExporterStatus) -> Iterator[_Line]:
    problem = exporter.socket_directory_problem
    if problem is not None:
        yield _Line(f"socket directory {exporter.socket_directory}: failed: {problem}", False)


def _polled(state: TargetState) -> Iterator[_Line]:
    health, name = state.health, state.key.title
    log = state.snapshot.log if health.up and state.snapshot is not None else None
    if log is not None:
        yield from (_Line(f"{name}: {text}", is_fine) for text, is_fine in _end_of(log))
        return
    condition = f"failed ({health.reason}): {health.error}"
    if health.up:
        pools = state.snapshot.pools if state.snapshot is not None else ()
        condition = _found(pools) if state.key.kind == "app" else "ok"
    yield _Line(f"{name}: {condition}", health.up)
    for note in health.notes:
        yield _Line(f"{name}: {note}", False)
    if health.up and state.snapshot is not None and state.snapshot.server is not None:
        for missing in _missing_rights(state.snapshot.server.settings):
            yield _Line(f"{name}: {missing}", False)


def _found(pools: Sequence[PoolSample]) -> str:
    """The pools of an application's page, each with its format where that is another library's."""
    named = [
        f"{pool.key.pool} ({pool.info.source})"
        if pool.info is not None and pool.info.source
        else pool.key.pool
        for pool in pools[:_MOST_POOLS]
    ]
    if len(pools) > _MOST_POOLS:
        named.append(f"{len(pools) - _MOST_POOLS} more")
    return ": ".join(filter(None, (f"ok, {count(len(pools), 'pool')}", ", ".join(named))))


def _without_server(config: Config, states: Iterable[TargetState]) -> Iterator[_Line]:
    """A hint for each page whose pools can be compared with no server: it is not wrong."""
    owners = {app.name for app in config.apps if app.server is None and not app.bouncers}
    for state in states if config.servers else ():
        if state.key.kind != "app" or state.key.app not in owners or state.snapshot is None:
            continue
        known = [pool.info or PoolInfo() for pool in state.snapshot.pools]
        if any(not (info.server or info.host or info.port) for info in known):
            hint = "its page names no server, so its leaks stay unknown: set `server` of app"
            yield _Line(f"{state.key.title}: {hint} {state.key.app}", True)


def _end_of(log: LogCounts) -> Iterator[tuple[str, bool]]:
    """A description of the end of a server's log, and whether it is fine."""
    unparsed = int(log.unparsed or 0)
    if not log.records and not unparsed:
        found = "none of its few lines is PostgreSQL's" if log.read else "it is empty"
        yield f"ok, but {found}: whether its records are understood is unknown", True
        return
    for form, wrapping in log.written:
        around = "" if wrapping == "none" else f", wrapped by {wrapping}"
        found = f"{count(int(log.records), 'record')} of {form}{around}"
        yield f"ok: {found}, {count(unparsed, 'unknown line')} at its end", True
    if log.unparsed_advice:
        shape = f"the shape of one is {log.unparsed_shape!r}"
        unknown = count(unparsed, "unknown line")
        yield f"{unknown} at its end; {shape}: {log.unparsed_advice}", False


def _missing_rights(settings: ServerSettings) -> Iterator[str]:
    """The rights on sessions that the exporter's role lacks, with the absent metrics."""
    role = Identifier(settings.role).as_string()
    if not settings.sees_all:
        yield (
            "the activity of other roles' sessions is hidden: leaks, transactions and lock waits "
            f"are unknown; GRANT pg_monitor TO {role}"
        )
