"""The configuration's facts about an application's pools, for those that their pages lack."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pg_pool_exporter.model import PoolInfo, PoolSample


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetDefaults:
    """The facts known of a page before it is read. An empty text is unknown."""

    app: str = ""
    """The configured name of the application. It wins over the page's own, which can be anything.
    """
    process: str = ""
    """The name of the target."""
    server: str = ""
    """The server that the pools connect to."""
    application: str = ""
    """Their application_name there, as the server shows it."""
    max_connections: int | None = None
    """The maximum of each pool."""

    def complete(self, sample: PoolSample) -> PoolSample:
        """`sample`, completed with the fields that its page lacks."""
        if sample.max is None and self.max_connections is not None:
            sample = replace(sample, max=self.max_connections)
        known = sample.info or PoolInfo()
        application = known.application
        if not application and not known.asked_a_session:
            application = self.application
        server = known.server or self.server
        if (server, application) == (known.server, known.application):
            return sample
        return replace(sample, info=replace(known, server=server, application=application))


NO_DEFAULTS = TargetDefaults()
"""For a page that leaves nothing out."""
