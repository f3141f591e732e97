"""What the poller needs of a source, and how a poll fails."""

from __future__ import annotations

from typing import Protocol

from pg_pool_exporter.model import Snapshot


class PollError(Exception):
    """A poll that failed for a known reason.

    `reason` is one of `catalogue.POLL_FAILURE_REASONS` and becomes a label. The message is for the
    log: what happened and what to do, without a secret, a query or a text from outside. `limited`
    names the role or database whose CONNECTION LIMIT is the reason.
    """

    def __init__(self, reason: str, message: str, limited: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.limited = limited


class TargetGoneError(Exception):
    """The target ended: no process listens on its socket. The store forgets it."""


class Source(Protocol):
    """One target's reader. Polls of one source never overlap."""

    async def poll(self) -> Snapshot:
        """Read the target once.

        Raises `PollError` for a failure with a known reason, `TargetGoneError` when the target
        ended. The poller cancels at the deadline: that takes effect at once, whatever the target
        does.
        """
        ...

    async def close(self) -> None:
        """Close all connections and files, without waiting for the target."""
        ...
