"""The results of polls: frozen values without behaviour, passed from source to exposition.

`None` means unknown: no series is written for it. Ages and durations are float
seconds. The standard library only, because the client imports it.
"""

from pg_pool_exporter.model.bouncers import (
    Behind as Behind,
    BouncerDatabase as BouncerDatabase,
    BouncerOrigin as BouncerOrigin,
    BouncerPool as BouncerPool,
    BouncerPoolKey as BouncerPoolKey,
    BouncerSample as BouncerSample,
    BouncerUser as BouncerUser,
    ClientGroup as ClientGroup,
    Hold as Hold,
)
from pg_pool_exporter.model.evidence import LeakEvidence as LeakEvidence
from pg_pool_exporter.model.identity import (
    AppOnServer as AppOnServer,
    Kind as Kind,
    PoolId as PoolId,
    TargetId as TargetId,
    is_local as is_local,
)
from pg_pool_exporter.model.pools import (
    Histogram as Histogram,
    PoolInfo as PoolInfo,
    PoolSample as PoolSample,
)
from pg_pool_exporter.model.servers import (
    Backend as Backend,
    ClientKey as ClientKey,
    ClockAhead as ClockAhead,
    DatabaseCounters as DatabaseCounters,
    LogCounts as LogCounts,
    OpenTransaction as OpenTransaction,
    ServerFacts as ServerFacts,
    ServerSample as ServerSample,
    ServerSettings as ServerSettings,
    SessionGroup as SessionGroup,
    SessionKey as SessionKey,
    StateSample as StateSample,
    TimeoutOverride as TimeoutOverride,
)
from pg_pool_exporter.model.snapshot import Health as Health, Snapshot as Snapshot
