"""Identity of targets, pools and applications: values with fields, never text.

Label text is made of them at the edge and never taken apart again. A name depends on the thing
alone, never on what else there is.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal["server", "log", "app", "process", "bouncer"]
"""What a target is: it decides what reads it."""


class TargetId(NamedTuple):
    """A target: no two of one configuration share it."""

    kind: Kind
    name: str
    """Of a server, its log or a bouncer: the configured name. Of an application's page: its
    address. Of a process: its socket's name."""
    app: str = ""
    """The application that a page or a process belongs to; empty for the others."""

    @property
    def label(self) -> str:
        """The label `target` of the metrics about it."""
        return f"{self.app}@{self.name}" if self.kind == "app" else self.name


class PoolId(NamedTuple):
    """A pool of one process: no two samples of one scrape share it."""

    app: str
    pool: str
    process: str


class AppOnServer(NamedTuple):
    """An application as far as its pools lead to one server."""

    server: str
    app: str
