"""Thresholds of findings: the same numbers as in deploy/prometheus/settings.yml."""

from __future__ import annotations

from typing import Final

POOL_USE: Final = 0.80
"""Utilisation of a pool: share of its maximum."""
POOL_WAITING: Final = 1.0
"""Waiting requests of a pool, mean over the last minutes."""
SLOW_HOLD: Final = 1.0
"""Mean duration of a checkout, in seconds."""
LONG_STATEMENT: Final = 30.0
"""Age of a statement that explains a long checkout, in seconds."""
BOUNCER_WAIT: Final = 1.0
"""Waiting time of the first client of a bouncer's pool, in seconds."""
SERVER_USE: Final = 0.80
SERVER_FULL: Final = 0.95
"""Share of the slots for ordinary roles."""
IDLE_IN_TRANSACTION: Final = 120.0
"""Age of a session that is idle in transaction, in seconds."""
LOCK_WAIT: Final = 30.0
"""Waiting time for a lock, in seconds."""
LOCK_PILE_UP: Final = 5
"""Sessions that wait for a lock at the same time."""
