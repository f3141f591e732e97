"""`pg-pool-exporter terminate-idle`: emergency help, when somebody asks for it, never by itself.

`sessions` says which sessions are meant and why others are left alone, `server` asks and tells
PostgreSQL, `report` is what a person reads.
"""

from __future__ import annotations

from typing import NamedTuple

from pg_pool_exporter.commands.terminate_idle.report import nothing_idle, written
from pg_pool_exporter.commands.terminate_idle.server import TerminateError, connected
from pg_pool_exporter.commands.terminate_idle.sessions import Choice, Ended, reason_to_spare
from pg_pool_exporter.config import ServerConfig

__all__ = ["Choice", "Outcome", "TerminateError", "run"]

_PATIENCE = 5.0


class Outcome(NamedTuple):
    """What is to be printed, and whether nothing stood in the way."""

    text: str
    successful: bool


async def run(
    config: ServerConfig, choice: Choice, *, end: bool, patience: float = _PATIENCE
) -> Outcome:
    """Show the sessions that `choice` means on a server, and with `end` end them.

    `patience` is how long it waits for them to be gone, in seconds. Raises `TerminateError` when
    the server can't be asked.
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
    # Whoever asks for one session wants that one; of an application's, some go on with their work.
    denied = any(one.hidden or not one.may_end for one in spared)
    missed = choice.pid is not None and not (ended.signalled if ended else meant)
    remain = ended is not None and bool(ended.remaining)
    return Outcome(text, not denied and not missed and not remain)
