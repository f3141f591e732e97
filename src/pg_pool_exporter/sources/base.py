"""What the poller needs of a source, and how a poll fails."""

from __future__ import annotations

from typing import Protocol

from pg_pool_exporter.model import Snapshot


class PollError(Exception):
    """A poll that failed for a known reason.

    `reason` is one of `catalogue.POLL_FAILURE_REASONS` and becomes a label. The message is for the
    log: it says what was found and what to do, and never holds a secret, a query or a page's text.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class TargetGoneError(Exception):
    """The target does not exist any more (nobody listens on a process's socket): forget it."""


class Source(Protocol):
    """One target's reader. Polls of one source never overlap."""

    async def poll(self) -> Snapshot:
        """Read the target once.

        Raises `PollError` for a failure with a known reason and `TargetGoneError` when it is to be
        forgotten. Cancelling (the poller does so at the deadline) takes effect at once, whatever
        the target does.
        """
        ...

    async def close(self) -> None:
        """Let go of everything that the source holds, without waiting for the target."""
        ...
