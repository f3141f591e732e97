"""What the configuration tells of an application's pools, where their pages don't."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pg_pool_exporter.model import PoolId, PoolInfo, PoolSample


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a page comes from. An empty text is an unknown."""

    app: str = ""
    process: str = ""
    """The address of the target."""
    server: str = ""
    """The server that the pools point at."""
    application: str = ""
    """Its application_name there, as the server shows it."""
    max_connections: int | None = None
    """Most connections of each pool."""

    def key(self, app: str, pool: str, process: str) -> PoolId:
        """The identity of a pool, whose page may leave out what is known here."""
        return PoolId(app or self.app, pool, process or self.process)

    def complete(self, sample: PoolSample) -> PoolSample:
        """`sample` with what its page did not tell."""
        if sample.max is None and self.max_connections is not None:
            sample = replace(sample, max=self.max_connections)
        known = sample.info or PoolInfo()
        application = known.application
        if not application and not known.asked_a_session:
            application = self.application
        info = replace(known, server=known.server or self.server, application=application)
        return sample if info == known else replace(sample, info=info)


UNKNOWN = Origin()
"""Of a page that tells everything itself."""
