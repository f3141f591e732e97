"""Service discovery of an application's processes, in Prometheus' terms."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, Strict, ValidationInfo, field_validator, model_validator

from pg_pool_exporter.config.discovery_values import (
    HostName,
    ListFiles,
    ListUrl,
    MetricsPath,
    RefreshInterval,
)
from pg_pool_exporter.config.http_client import HttpClientConfig
from pg_pool_exporter.config.kubernetes import KubernetesSdConfig
from pg_pool_exporter.config.section import Section
from pg_pool_exporter.config.values import once

REFRESH_HEADER = "X-Prometheus-Refresh-Interval-Seconds"
"""Header with the seconds between two requests for a list."""


class _HttpList(Section):
    url: ListUrl = Field(repr=False)
    refresh_interval: RefreshInterval = 60.0
    """Seconds."""


class HttpSdConfig(HttpClientConfig, _HttpList):
    """A list on an HTTP server (`http_sd:`)."""

    @model_validator(mode="after")
    def _keeps_credentials_encrypted(self) -> Self:
        self.require_encryption("must have an https url", [self.url])
        return self

    @field_validator("headers", "header_files")
    @classmethod
    def _leave_the_interval_to_us(cls, value: dict[str, str]) -> dict[str, str]:
        if REFRESH_HEADER.lower() in map(str.lower, value):
            raise ValueError(f"must not hold {REFRESH_HEADER}: the exporter sets it itself")
        return value


class DnsSdConfig(Section):
    """Names in DNS (`dns_sd:`)."""

    names: Annotated[tuple[HostName, ...], Strict(False)]
    port: int | None = Field(default=None, ge=1, le=65535)
    """Port of all addresses; SRV records have their own."""
    type: Literal["SRV", "A", "AAAA"] = Field(default="SRV", validate_default=True)
    refresh_interval: RefreshInterval = 30.0
    """Seconds."""

    @field_validator("names")
    @classmethod
    def _some(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("must have at least one name")
        return value

    @field_validator("type")
    @classmethod
    def _fits_the_port(cls, value: str, info: ValidationInfo) -> str:
        port = info.data.get("port", ...)
        if value == "SRV" and isinstance(port, int):
            raise ValueError("must be A or AAAA with a port: SRV records have their own")
        if value != "SRV" and port is None:
            raise ValueError("must have a port: only SRV records have their own")
        return value


def _urls(lists: Iterable[HttpSdConfig]) -> Iterator[str]:
    return (one.url for one in lists)


def _names(lists: Iterable[DnsSdConfig]) -> Iterator[tuple[object, ...]]:
    return ((name, one.type, one.port) for one in lists for name in one.names)


class DiscoveryConfig(Section):
    """Lists of an application's addresses, and the rest of its endpoints' URLs."""

    file_sd: Annotated[tuple[ListFiles, ...], Strict(False), once()] = ()
    http_sd: Annotated[tuple[HttpSdConfig, ...], Strict(False), once(_urls)] = ()
    dns_sd: Annotated[tuple[DnsSdConfig, ...], Strict(False), once(_names)] = ()
    kubernetes_sd: Annotated[tuple[KubernetesSdConfig, ...], Strict(False)] = ()
    scheme: Literal["http", "https"] = "http"
    metrics_path: MetricsPath | None = None
    """None is the path of the format."""

    @property
    def has_lists(self) -> bool:
        """Whether any mechanism finds addresses."""
        return any((self.file_sd, self.http_sd, self.dns_sd, self.kubernetes_sd))

    @property
    def requested(self) -> tuple[HttpClientConfig, ...]:
        """The mechanisms that send requests, which can have credentials."""
        return (*self.http_sd, *self.kubernetes_sd)
