"""The results of polls: frozen values without behaviour, passed from source to exposition.

`None` means unknown: no series is written for it. Ages and durations are float
seconds. The standard library only, because the client imports it.
"""

from pg_pool_exporter.model.bouncers import (
    Behind,
    BouncerDatabase,
    BouncerOrigin,
    BouncerPool,
    BouncerPoolKey,
    BouncerSample,
    BouncerUser,
    ClientGroup,
    Hold,
)
from pg_pool_exporter.model.evidence import LeakEvidence
from pg_pool_exporter.model.identity import AppOnServer, Kind, PoolId, TargetId, is_local
from pg_pool_exporter.model.pools import (
    Histogram,
    PoolInfo,
    PoolSample,
)
from pg_pool_exporter.model.servers import (
    Backend,
    ClientKey,
    ClockAhead,
    DatabaseCounters,
    LogCounts,
    OpenTransaction,
    ServerFacts,
    ServerSample,
    ServerSettings,
    SessionGroup,
    SessionKey,
    StateSample,
    TimeoutOverride,
)
from pg_pool_exporter.model.snapshot import (
    Health,
    Snapshot,
)

__all__ = [
    "AppOnServer",
    "Backend",
    "Behind",
    "BouncerDatabase",
    "BouncerOrigin",
    "BouncerPool",
    "BouncerPoolKey",
    "BouncerSample",
    "BouncerUser",
    "ClientGroup",
    "ClientKey",
    "ClockAhead",
    "DatabaseCounters",
    "Health",
    "Histogram",
    "Hold",
    "Kind",
    "LeakEvidence",
    "LogCounts",
    "OpenTransaction",
    "PoolId",
    "PoolInfo",
    "PoolSample",
    "ServerFacts",
    "ServerSample",
    "ServerSettings",
    "SessionGroup",
    "SessionKey",
    "Snapshot",
    "StateSample",
    "TargetId",
    "TimeoutOverride",
    "is_local",
]
