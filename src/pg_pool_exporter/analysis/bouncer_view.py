"""One record for each pool of a bouncer."""

from __future__ import annotations

from dataclasses import dataclass

from pg_pool_exporter.config import Thresholds
from pg_pool_exporter.model import BouncerPool, BouncerPoolKey


@dataclass(frozen=True, slots=True, kw_only=True)
class BouncerPoolView:
    """A pool of a bouncer at its last poll."""

    bouncer: str
    key: BouncerPoolKey
    sample: BouncerPool
    thresholds: Thresholds

    def __str__(self) -> str:
        return f"{self.key.database}/{self.key.user} of bouncer {self.bouncer}"

    @property
    def active(self) -> float:
        """Connections in use by a client."""
        return self.sample.connections.get("active", 0.0)

    @property
    def idle(self) -> float:
        """Other connections to the server."""
        return sum(self.sample.connections.values()) - self.active

    @property
    def waiting(self) -> float:
        """Clients that wait for a connection."""
        return self.sample.clients.get("waiting", 0.0)

    @property
    def max(self) -> float | None:
        """Connections that it may have, the reserve included; None when unlimited."""
        size = self.sample.size
        return None if size is None else size + (self.sample.reserve_size or 0.0)

    @property
    def utilisation(self) -> float | None:
        """Share of the maximum in use by a client; None without a maximum."""
        return self.active / self.max if self.max else None

    @property
    def is_saturated(self) -> bool:
        """Whether a client has waited for too long."""
        waited = self.sample.oldest_waiting or 0.0
        return bool(self.waiting) and waited > self.thresholds.bouncer_wait

    @property
    def badness(self) -> tuple[float, ...]:
        """The longest wait first, then the most clients that wait, then the highest utilisation."""
        waited = (self.sample.oldest_waiting or 0.0) if self.waiting else 0.0
        return waited, self.waiting, self.utilisation or 0.0
