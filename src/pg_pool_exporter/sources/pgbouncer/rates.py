"""Rates of a bouncer's databases (logins, transactions, their time) over the last minute, or since
the last poll where that is longer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from pg_pool_exporter.model import BouncerDatabase

_SECONDS = 60.0
_MIN_SECONDS = 20.0
_MOST_READINGS = 100


class _Reading(NamedTuple):
    time: float
    databases: Mapping[str, BouncerDatabase]


class RecentRates:
    """Remembers counters, in bounded memory."""

    def __init__(self) -> None:
        self._readings: deque[_Reading] = deque(maxlen=_MOST_READINGS)

    def added(
        self, databases: Mapping[str, BouncerDatabase], now: float
    ) -> dict[str, BouncerDatabase]:
        """The databases with rates, as far as there are counters from long enough ago.

        `now` are seconds on a clock that never goes back.
        """
        self._readings.append(_Reading(now, databases))
        # The newest of a minute ago or more stays: polls may be farther apart than that.
        while len(self._readings) > 1 and now - self._readings[1].time >= _SECONDS:
            self._readings.popleft()
        first = self._readings[0]
        seconds = now - first.time
        if seconds < _MIN_SECONDS:
            return dict(databases)
        return {
            name: _with_rates(first.databases.get(name, BouncerDatabase()), one, seconds)
            for name, one in databases.items()
        }


def _with_rates(before: BouncerDatabase, now: BouncerDatabase, seconds: float) -> BouncerDatabase:
    logins = _increase(before.logins, now.logins)
    transactions = _increase(before.transactions, now.transactions)
    spent = _increase(before.transaction_time, now.transaction_time)
    # PgBouncer counts a transaction from its first request on, which may have to wait.
    waited = _increase(before.wait, now.wait)
    return replace(
        now,
        login_rate=None if logins is None else logins / seconds,
        transaction_rate=None if transactions is None else transactions / seconds,
        mean_transaction=(
            None
            if spent is None or waited is None or not transactions
            else max(0.0, spent - waited) / transactions
        ),
    )


def _increase(before: float | None, now: float | None) -> float | None:
    """None where it is unknown, or the counter began anew."""
    return None if before is None or now is None or now < before else now - before
