"""The numbers that findings are judged by: keys, defaults and bounds of `thresholds:`.

A pool's keys may also stand under its application, and an application's under the whole file:
the innermost one wins.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from pg_pool_exporter.config.section import Section
from pg_pool_exporter.config.values import Duration

_MOST = 100_000


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number")
    return float(value)


def _share(value: float) -> float:
    if not 0 < value <= 1:
        raise ValueError("must be a share above 0 and at most 1, like 0.8")
    return value


def _count(value: float) -> float:
    if not 0 < value <= _MOST:
        raise ValueError(f"must be above 0 and at most {_MOST}")
    return value


_Share = Annotated[float, BeforeValidator(_number), AfterValidator(_share)]
_Count = Annotated[float, BeforeValidator(_number), AfterValidator(_count)]


class PoolThresholds(Section):
    """Of a pool (`apps[].pools[].thresholds`). Durations are in seconds."""

    pool_utilisation: _Share = 0.80
    """Utilisation above which a pool is nearly saturated."""
    pool_waiting: _Count = 1.0
    """Fewer waiting requests, on average over five minutes, are no finding."""
    long_checkout: Duration = 1.0
    """Mean duration at which checkouts are long."""
    long_statement: Duration = 30.0
    """Age at which a statement, or a transaction whose statements follow each other, explains an
    overdue checkout; half of `leak_after` if shorter."""
    pool_wait: Duration = 0.1
    """Wait for a connection that 99 % of the requests should stay below; advice on sizes has the
    size for it."""
    reclaimed_connections: _Count = 5.0
    """Connections returned by the garbage collector in five minutes at which they are a finding."""
    pools_made: _Count = 10.0
    """Pools that a process makes in place of former ones in five minutes at which they are a
    finding."""


class AppThresholds(PoolThresholds):
    """Of an application (`apps[].thresholds`), whose sessions belong to any of its pools."""

    idle_in_transaction: Duration = 120.0
    """Age at which a session idle in transaction is a finding of its own; where its connection is
    leaked, that is the finding, from `leak_after` on."""


class Thresholds(AppThresholds):
    """Of everything (`thresholds`). Servers and bouncers have one threshold for all."""

    lock_wait: Duration = 30.0
    """Duration at which a wait for a lock is a finding."""
    lock_pile_up: int = Field(default=5, ge=1, le=_MOST)
    """Number of sessions waiting for locks at which they are a pile-up."""
    server_utilisation: _Share = 0.80
    """Share of a server's slots, of a CONNECTION LIMIT, or of a bouncer's limit of clients, above
    which its use is a warning."""
    server_full: _Share = Field(default=0.95, validate_default=True)
    """Share of the same above which its use is a problem."""
    bouncer_wait: Duration = 1.0
    """Duration above which the wait of a bouncer's first client is a finding."""
    bouncer_held: Duration = 30.0
    """Time for which a bouncer's client may keep a connection to the server and do nothing: idle in
    transaction, or, where others wait, in session mode."""
    bouncer_logins: _Count = 20.0
    """Logins a second to a database of a bouncer at which they are a finding, where there are
    hardly more transactions."""

    @field_validator("server_full")
    @classmethod
    def _is_the_worse_one(cls, value: float, info: ValidationInfo) -> float:
        if value < (least := info.data.get("server_utilisation", 0.0)):
            raise ValueError(f"must be at least server_utilisation, which is {least:g}")
        return value

    def overridden_by(self, more: PoolThresholds) -> Self:
        """These thresholds, but for those that `more` has in the file."""
        return self.model_copy(update={key: getattr(more, key) for key in more.model_fields_set})
