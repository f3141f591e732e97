"""Which thresholds hold for an application, a pool and the sessions on a server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Self

from pg_pool_exporter.config import Config, PoolThresholds, Thresholds


class SetThreshold(NamedTuple):
    """One number, and what it holds for: everything, an application, or one of its pools."""

    threshold: str
    app: str
    pool: str
    value: float
    """In base units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AllThresholds:
    """The thresholds of the configuration, by what they hold for."""

    general: Thresholds = field(default_factory=Thresholds)
    """Those of servers and bouncers, and the defaults of all others."""
    apps: Mapping[str, Thresholds] = field(default_factory=dict)
    pools: Mapping[tuple[str, str], Thresholds] = field(default_factory=dict)
    """By application and pool."""
    sessions: Mapping[str, Thresholds] = field(default_factory=dict)
    """By the sessions' `application_name`."""
    overrides: tuple[SetThreshold, ...] = ()

    @classmethod
    def of(cls, config: Config) -> Self:
        """Those of a configuration."""
        apps, pools, sessions = {}, {}, {}
        overrides: list[SetThreshold] = []
        for app in config.apps:
            its = config.thresholds.overridden_by(app.thresholds)
            apps[app.name] = sessions[app.application_name] = its
            overrides.extend(_given(app.thresholds, app.name))
            for pool in app.pools:
                pools[app.name, pool.name] = its.overridden_by(pool.thresholds)
                overrides.extend(_given(pool.thresholds, app.name, pool.name))
        return cls(
            general=config.thresholds,
            apps=apps,
            pools=pools,
            sessions=sessions,
            overrides=tuple(overrides),
        )

    def with_sessions(self, apps: Mapping[str, str]) -> Self:
        """Those where sessions, by `application_name`, also belong to these applications."""
        more = {name: self.apps[app] for name, app in apps.items() if name and app in self.apps}
        return replace(self, sessions={**self.sessions, **more})

    def of_app(self, app: str) -> Thresholds:
        """Those of an application."""
        return self.apps.get(app, self.general)

    def of_pool(self, app: str, pool: str) -> Thresholds:
        """Those of one of an application's pools."""
        return self.pools.get((app, pool)) or self.of_app(app)

    def of_sessions(self, application_name: str) -> Thresholds:
        """Those of the application that has sessions with this name."""
        return self.sessions.get(application_name, self.general)

    def __iter__(self) -> Iterator[SetThreshold]:
        """Each number once for everything, and once for each override."""
        for name, value in self.general:
            yield SetThreshold(name, "", "", value)
        yield from self.overrides


def _given(thresholds: PoolThresholds, app: str, pool: str = "") -> Iterator[SetThreshold]:
    """The numbers that the configuration has for an application or a pool."""
    for name, value in thresholds:
        if name in thresholds.model_fields_set:
            yield SetThreshold(name, app, pool, value)
