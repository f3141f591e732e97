"""What the demonstration can show: which applications run, and on what kind of server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_SHOP, _TROUBLE = "pg_pool_exporter.commands.demo.shop", "pg_pool_exporter.commands.demo.trouble"
_GUARDED = {"idle_in_transaction_session_timeout": "60s"}


@dataclass(frozen=True, slots=True)
class App:
    """`python -m module kind DSN more …`, known as `shop-kind`."""

    module: str
    kind: str
    more: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"shop-{self.kind}"


@dataclass(frozen=True, slots=True)
class Scenario:
    """A set of applications, and a sentence that says what they do."""

    apps: tuple[App, ...]
    story: str
    settings: Mapping[str, str] = field(default_factory=dict)
    """The server's own, for its configuration file."""


DEFAULT = "leak"
SCENARIOS = {
    "healthy": Scenario(
        (App(_SHOP, "healthy"), App(_SHOP, "bursty")),
        "Nothing is wrong here: no alert may fire.",
        _GUARDED,
    ),
    DEFAULT: Scenario(
        (App(_SHOP, "healthy"), App(_SHOP, "leaky")),
        "shop-leaky borrows a connection now and then and forgets it.",
    ),
    "trouble": Scenario(
        (
            App(_SHOP, "healthy"),
            App(_SHOP, "leaky", ("11",)),
            App(_TROUBLE, "keeping"),
            App(_TROUBLE, "small"),
            App(_TROUBLE, "stuck"),
        ),
        "shop-leaky forgets connections, shop-keeping keeps some, shop-small has too few, and in\n"
        "shop-stuck a transaction is left open, for whose lock others wait.",
    ),
}
