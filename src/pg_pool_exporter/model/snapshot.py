"""The result of a poll, and the health of a target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pg_pool_exporter.model.bouncers import BouncerSample
from pg_pool_exporter.model.pools import PoolSample
from pg_pool_exporter.model.servers import LogCounts, ServerSample


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The result of one successful poll of one target. Replaced by the next one, never changed."""

    pools: tuple[PoolSample, ...] = ()
    server: ServerSample | None = None
    log: LogCounts | None = None
    bouncer: BouncerSample | None = None
    address: str | None = None
    """The IP address that served an application's page; None where unknown."""
    notes: tuple[str, ...] = ()
    """What the target lacks, so that series are absent, a sentence each."""
    folded: int = 0
    """Groups folded into `other`, or left out, because they were over a cap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The polls of a target so far."""

    up: bool = False
    polls: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)
    """By reason, one of `catalogue.POLL_FAILURE_REASONS`."""
    reason: str | None = None
    """Why the last poll failed; None when it succeeded."""
    error: str | None = None
    """The same in a sentence, without secrets."""
    notes: tuple[str, ...] = ()
    """Of a target that is up, what it lacks, so that series are absent, a sentence each."""
    limited: str = ""
    """The role or database whose CONNECTION LIMIT is the reason."""
    duration: float | None = None
    """Of the last poll, in seconds."""
    last_success: float | None = None
    """Seconds since the epoch."""
