"""The configuration: YAML to validated, frozen values."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Polled(_Section):
    name: str
    interval: float = 5.0
    timeout: float = 3.0


class ServerConfig(_Polled):
    """A PostgreSQL server (`servers:`)."""

    dsn: SecretStr
    password_file: str | None = None
    password_command: tuple[str, ...] | None = None
    max_groups: int = 100
    """Most named groups of sessions; the rest is folded into `other`."""


class AppConfig(_Polled):
    """An application (`apps:`): how servers know it, and where its pages are."""

    application_name: str | None = None
    targets: tuple[str, ...] = ()


class Config(_Section):
    """The whole file."""

    socket_dir: str | None = None
    """Directory of the processes' sockets; None is the default one, "" is none."""
    servers: tuple[ServerConfig, ...] = Field(default=())
    apps: tuple[AppConfig, ...] = Field(default=())
