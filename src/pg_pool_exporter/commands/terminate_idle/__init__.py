"""`pg-pool-exporter terminate-idle`: ends idle sessions, only on a person's command.

`sessions` chooses them, `server` lists and ends them, `report` is the text for a person.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from pg_pool_exporter.commands.configuration import configuration
from pg_pool_exporter.commands.options import PROGRAM, Options, UsageError
from pg_pool_exporter.commands.output import FAILURE, SUCCESS, complain, write
from pg_pool_exporter.commands.terminate_idle.report import nothing_idle, written
from pg_pool_exporter.commands.terminate_idle.server import TerminateError, connected
from pg_pool_exporter.commands.terminate_idle.sessions import Choice, Ended, reason_to_spare
from pg_pool_exporter.config import ServerConfig

__all__ = ["Choice", "Outcome", "TerminateError", "main", "run"]

_PATIENCE = 5.0


class Outcome(NamedTuple):
    """The text to print, and whether everything succeeded."""

    text: str
    successful: bool


def main(options: Options) -> int:
    """Print or terminate idle sessions; the exit code. Raises `ConfigError`, `UsageError`."""
    assert options.server is not None
    assert options.older_than is not None
    config = configuration(options)
    server = next((one for one in config.servers if one.name == options.server), None)
    if server is None:
        names = ", ".join(one.name for one in config.servers) or "none"
        raise UsageError(f"--server: no such server in the configuration (there are: {names})")
    choice = Choice(options.older_than, options.application, options.pid)
    try:
        found = asyncio.run(run(server, choice, end=options.yes))
    except TerminateError as error:
        complain(f"{PROGRAM}: {error}")
        return FAILURE
    write(found.text)
    return SUCCESS if found.successful else FAILURE


async def run(
    config: ServerConfig, choice: Choice, *, end: bool, patience: float = _PATIENCE
) -> Outcome:
    """List the sessions of `choice` on a server, and with `end` end them.

    Waits at most `patience` seconds for them to be gone. Raises `TerminateError`.
    """
    ended: Ended | None = None
    async with connected(config) as server:
        spared = {one: reason_to_spare(one, choice) for one in await server.sessions(choice)}
        meant = [one for one, reason in spared.items() if reason is None]
        if not spared:
            applications = await server.applications(choice)
            is_known = choice.application in applications
            return Outcome(nothing_idle(config.name, choice, applications), is_known)
        statement = server.statement(meant)
        if end and meant:
            ended = await server.end(meant, patience)
    text = written(config.name, choice, spared, statement, ended)
    # A single session was meant to end; of an application's, some may go on with their work.
    denied = any(one.hidden or not one.may_end for one in spared)
    missed = choice.pid is not None and not (ended.signalled if ended else meant)
    remain = ended is not None and bool(ended.remaining)
    return Outcome(text, not denied and not missed and not remain)
