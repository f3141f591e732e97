"""The scenarios of the demonstration: which applications run, and on what server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_SHOP, _TROUBLE = "pg_pool_exporter.commands.demo.shop", "pg_pool_exporter.commands.demo.trouble"
_GUARDED = {"idle_in_transaction_session_timeout": "60s"}


@dataclass(frozen=True, slots=True)
class App:
    """`python -m module kind DSN more …`; its name is `shop-kind`."""

    module: str
    kind: str
    more: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The application's name."""
        return f"shop-{self.kind}"


@dataclass(frozen=True, slots=True)
class Scenario:
    """A set of applications, and a sentence about them."""

    apps: tuple[App, ...]
    story: str
    settings: Mapping[str, str] = field(default_factory=dict)
    """The server's own, for its configuration file."""


DEFAULT = "leak"
SCENARIOS = {
    "healthy": Scenario(
        (App(_SHOP, "healthy"), App(_SHOP, "bursty")),
        "Everything is healthy: no alert fires.",
        _GUARDED,
    ),
    DEFAULT: Scenario(
        (App(_SHOP, "healthy"), App(_SHOP, "leaky")),
        "shop-leaky leaks a connection every few seconds.",
    ),
    "trouble": Scenario(
        (
            App(_SHOP, "healthy"),
            App(_SHOP, "leaky", ("11",)),
            App(_TROUBLE, "keeping"),
            App(_TROUBLE, "small"),
            App(_TROUBLE, "stuck"),
        ),
        "shop-leaky leaks connections, shop-keeping has overdue checkouts, the pool of shop-small\n"
        "is too small, and in shop-stuck a session idle in transaction blocks others by a lock.",
    ),
}
