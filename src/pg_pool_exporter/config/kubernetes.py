"""Pods as an application's processes (`kubernetes_sd:`)."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    Field,
    Strict,
    ValidationInfo,
    field_validator,
    model_validator,
)

from pg_pool_exporter.config.discovery_values import ListUrl
from pg_pool_exporter.config.http_client import HttpClientConfig
from pg_pool_exporter.config.page_address import page_address
from pg_pool_exporter.config.section import Section
from pg_pool_exporter.config.values import matching, once

MAX_NAMESPACES = 100

# RFC 1123's label: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
_Namespace = Annotated[
    str,
    matching(
        r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?",
        "must be the name of a namespace: small letters, digits and dashes",
    ),
]
# A name by IANA's rules (RFC 6335).
_PORT_NAME = re.compile(r"(?=.*[a-z])[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?", re.ASCII)


def _few(value: tuple[str, ...]) -> tuple[str, ...]:
    if len(value) > MAX_NAMESPACES:
        raise ValueError(f"must hold at most {MAX_NAMESPACES} namespaces; none stands for all")
    return value


def _selector(value: str) -> str:
    if not value.strip() or len(value) > 1000 or not value.isprintable():
        raise ValueError("must be a label selector of at most 1000 characters, like app=orders")
    return value


def _port(value: int | str) -> int | str:
    if isinstance(value, int):
        if not 1 <= value <= 65535:
            raise ValueError("must be from 1 to 65535, or a name")
    elif not _PORT_NAME.fullmatch(value):
        raise ValueError("must be a number, or the name of a container's port")
    return value


def _base(value: str) -> str:
    if page_address(value).query:
        raise ValueError("must have no query: paths are appended to it")
    return value


class _ApiServer(Section):
    api_server: Annotated[ListUrl, AfterValidator(_base)] | None = Field(default=None, repr=False)
    """Without it the one of the cluster that this process runs in, with its service account."""


# Fields come in the order of the bases from right to left: the server first.
class KubernetesSdConfig(HttpClientConfig, _ApiServer):
    """Pods of some namespaces, watched through the API server."""

    namespaces: Annotated[tuple[_Namespace, ...], Strict(False), once(), AfterValidator(_few)] = ()
    """Empty: all."""
    label_selector: Annotated[str, AfterValidator(_selector)] | None = None
    """None: only pods with the annotation `prometheus.io/scrape: "true"`."""
    port: Annotated[int | str, AfterValidator(_port)] | None = None
    """Number or name; None: the annotation `prometheus.io/port`, a port called metrics, or the
    only one."""

    @field_validator("bearer_token_file", "basic_auth", "header_files")
    @classmethod
    def _belongs_to_a_server(cls, value: object, info: ValidationInfo) -> object:
        if value and info.data.get("api_server", ...) is None:
            raise ValueError("must be left out without api_server: the service account is used")
        return value

    @model_validator(mode="after")
    def _keeps_credentials_encrypted(self) -> Self:
        if self.api_server is not None:
            self.require_encryption("must have an https api_server", [self.api_server])
        return self
