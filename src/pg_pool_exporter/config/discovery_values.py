"""Types of single values of service discovery."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

from pg_pool_exporter.config.page_address import page_address
from pg_pool_exporter.config.values import AnyPath, Duration, matching

LIST_SUFFIXES = (".json", ".yml", ".yaml")
"""Suffixes of files with lists of addresses, as in Prometheus."""
MIN_REFRESH = 1.0
MAX_REFRESH = 86_400.0


def _refresh_interval(value: float) -> float:
    if not MIN_REFRESH <= value <= MAX_REFRESH:
        raise ValueError("must be from 1s to 1d")
    return value


def _list_files(value: str) -> str:
    if not value.lower().endswith(LIST_SUFFIXES):
        raise ValueError(f"must end in {', '.join(LIST_SUFFIXES)}: the suffix decides the format")
    return value


def _list_url(value: str) -> str:
    parts = urlsplit(page_address(value).url)
    return parts._replace(path=urlsplit(value).path or "/").geturl()


def _metrics_path(value: str) -> str:
    if not value.startswith("/") or "?" in value or "#" in value or not value.isprintable():
        raise ValueError("must be a path, like /metrics, without ? and #")
    return value


RefreshInterval = Annotated[Duration, AfterValidator(_refresh_interval)]
ListFiles = Annotated[AnyPath, AfterValidator(_list_files)]
"""A pattern of files with lists of addresses, with `*` and `?`."""
ListUrl = Annotated[str, AfterValidator(_list_url)]
"""URL of a list of addresses."""
HostName = Annotated[
    str,
    matching(
        r"(?=.{1,253}\Z)(?:[\w-]{1,63}\.)*[\w-]{1,63}\.?",
        "must be a name in DNS, like _pools._tcp.example.org",
    ),
]
MetricsPath = Annotated[str, AfterValidator(_metrics_path)]
