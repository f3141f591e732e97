"""Identity of targets, pools and applications: values with fields, never text.

Label text is made of them at the edge and never taken apart again. A name depends on the thing
alone, never on what else there is. Named tuples, not dataclasses: each poll hashes thousands.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Literal, NamedTuple

Kind = Literal["server", "log", "app", "process", "bouncer"]
"""What a target is: it decides what reads it."""


class TargetId(NamedTuple):
    """A target: no two of one configuration share it."""

    kind: Kind
    name: str
    """Of a server, its log or a bouncer: the configured name. Of an application's page: its
    address (`PageAddress.name`). Of a process: the name of its socket, without the suffix."""
    app: str = ""
    """Of an application's page: the configured name of the application. Of a process: its
    application as the socket's name has it, where other characters may stand for some. Empty for
    other kinds."""

    @property
    def label(self) -> str:
        """The label `target` of the metrics about it, and its name in logs."""
        return f"{self.app}@{self.name}" if self.kind == "app" else self.name

    @property
    def title(self) -> str:
        """Its kind and its name, for people."""
        return f"{self.kind} {self.label}"


class PoolId(NamedTuple):
    """A pool of one process: no two samples of one scrape share it."""

    app: str
    pool: str
    process: str


class AppOnServer(NamedTuple):
    """An application as far as its pools connect to one server, or to the same bouncers."""

    server: str
    """Empty with bouncers."""
    app: str
    bouncers: tuple[str, ...] = ()
    """In alphabetical order."""

    @property
    def title(self) -> str:
        """What its pools connect to, for people."""
        if not self.bouncers:
            return f"server {self.server}"
        return f"{'bouncer' if len(self.bouncers) == 1 else 'bouncers'} {self.bouncer}"

    @property
    def bouncer(self) -> str:
        """Label text: the names of the bouncers."""
        return ", ".join(self.bouncers)


def is_local(host: str) -> bool:
    """Whether a host is this machine, as seen from there; libpq's default is a local socket."""
    if not host or host.startswith(("/", "@")) or host.lower() == "localhost":
        return True
    if not host.startswith("127.") and ":" not in host:
        return False
    try:
        # 127.example.org is a name.
        return ip_address(host).is_loopback
    except ValueError:
        return False
