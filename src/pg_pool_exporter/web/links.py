"""Where people read on: the runbooks, and the dashboards in Grafana."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from pg_pool_exporter.analysis.findings.finding import Subject
from pg_pool_exporter.web.paths import RUNBOOKS


@dataclass(frozen=True, slots=True)
class Links:
    """The address of the runbooks, and Grafana's; without the latter there are no dashboards."""

    runbooks: str = RUNBOOKS
    dashboards: str | None = None

    def fleet(self) -> str | None:
        """The dashboard of everything."""
        return self._dashboard("fleet")

    def pool(self, app: str, pool: str = "") -> str | None:
        """The dashboard of a pool, or of all pools of an application."""
        return self._dashboard("pool", app=app, pool=pool)

    def server(self, name: str) -> str | None:
        """The dashboard of a server."""
        return self._dashboard("server", server=name)

    def about(self, subject: Subject) -> str | None:
        """The dashboard of what a finding is about."""
        target = subject.target
        if target is not None and target.kind == "bouncer":
            return self._dashboard("bouncer", bouncer=target.label)
        if target is not None:
            return self._dashboard("exporter")
        if subject.app:
            return self.pool(subject.app, subject.pool)
        return self.server(subject.server) if subject.server else self._dashboard("exporter")

    def _dashboard(self, name: str, **variables: str) -> str | None:
        if self.dashboards is None:
            return None
        chosen = {f"var-{key}": value for key, value in variables.items() if value}
        query = f"?{urlencode(chosen, errors='replace')}" if chosen else ""
        return f"{self.dashboards}/d/pgpe-{name}{query}"


WITHOUT_DASHBOARDS = Links()
