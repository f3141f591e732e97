"""From where on something is wrong: the same numbers as in deploy/prometheus/settings.yml."""

from __future__ import annotations

from typing import Final

POOL_USE: Final = 0.80
"""Share of a pool's maximum."""
POOL_WAITING: Final = 1.0
"""Requests that wait at once, on average over the last minutes."""
SLOW_HOLD: Final = 1.0
"""Mean seconds of a checkout from which on its holder is slow."""
LONG_STATEMENT: Final = 30.0
"""Age of a statement that explains why its connection is out for so long, in seconds."""
BOUNCER_WAIT: Final = 1.0
"""Seconds that the first client of a bouncer's pool has waited for a connection."""
SERVER_USE: Final = 0.80
SERVER_FULL: Final = 0.95
"""Share of the slots that an ordinary role can have."""
IDLE_IN_TRANSACTION: Final = 120.0
"""Age of a transaction in which nothing happens, in seconds."""
LOCK_WAIT: Final = 30.0
"""Seconds."""
LOCK_PILE_UP: Final = 5
"""Sessions that wait for a lock at once."""
