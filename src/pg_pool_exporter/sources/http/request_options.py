"""Headers and TLS of a request, by the files of the configuration as they are now."""

from __future__ import annotations

import ssl
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import NamedTuple

from pg_pool_exporter.blocking.files import SECONDS, Stamp, stamp
from pg_pool_exporter.blocking.secrets import PasswordError, secret_text
from pg_pool_exporter.blocking.threads import Lane, LaneFullError
from pg_pool_exporter.config.http_client import (
    HttpClientConfig,
    TlsConfig,
    client_context,
    header_value,
)
from pg_pool_exporter.sources.base import PollError

_LANE = Lane("request-options", threads=32)


class RequestOptions(NamedTuple):
    """Headers of a request, and TLS settings for an https one."""

    headers: Mapping[str, str] = {}
    tls: ssl.SSLContext | bool = True
    server_name: str | None = None


PLAIN = RequestOptions()


async def request_options(config: HttpClientConfig) -> RequestOptions:
    """Read the files, in a thread and within `SECONDS`. Raises `PollError`.

    Cheap enough for each poll, so a new password or certificate is in use at the next one.
    """
    tls = config.tls_config
    files = (*config.secret_files, *filter(None, (tls.ca_file, tls.cert_file)))
    if not files:
        return RequestOptions(config.headers)
    try:
        return await _LANE.run(partial(_read, config), key=_Key(files, config), seconds=SECONDS)
    except LaneFullError as error:
        raise PollError("auth", f"credentials or certificates cannot be read: {error}") from None
    except TimeoutError:
        raise PollError(
            "auth",
            f"credentials or certificates cannot be read within {SECONDS:g} s "
            f"({', '.join(files)}): is their file system hung?",
        ) from None


@dataclass(frozen=True, slots=True)
class _Key:
    """Targets of one application share a reading; the configuration has no hash."""

    files: tuple[str, ...]
    config: HttpClientConfig = field(hash=False)


def _read(config: HttpClientConfig) -> RequestOptions:
    headers = dict(config.headers)
    try:
        for name, path in config.header_files.items():
            headers[name] = _header(secret_text(path, "header_files"), "header_files")
        if config.basic_auth is not None:
            password = secret_text(config.basic_auth.password_file, "password_file")
            pair = f"{config.basic_auth.username}:{password}".encode()
            headers["Authorization"] = f"Basic {b64encode(pair).decode()}"
        if config.bearer_token_file is not None:
            token = secret_text(config.bearer_token_file, "bearer_token_file")
            headers["Authorization"] = f"Bearer {_header(token, 'bearer_token_file')}"
    except PasswordError as error:
        raise PollError("auth", str(error)) from None
    tls = config.tls_config
    if tls == TlsConfig():
        return RequestOptions(headers)
    files = (tls.ca_file, tls.cert_file, tls.key_file)
    context = _context(tls, tuple(stamp(file) if file else () for file in files))
    if isinstance(context, str):
        raise PollError("auth", f"tls_config: a file {context}")
    return RequestOptions(headers, context, tls.server_name)


def _header(value: str, key: str) -> str:
    try:
        return header_value(value)
    except ValueError as error:
        raise PollError("auth", f"{key}: the content {error}") from None


def _context(config: TlsConfig, stamps: tuple[Stamp, ...]) -> ssl.SSLContext | str:
    """The context for these files as they were at these stamps, or the text of their fault.

    Both are kept until the files change: a context costs some 20 ms of CPU time, and 0.9 MB.
    """
    latest = _latest(config)
    context = latest.get(stamps)
    if context is None:
        try:
            context = client_context(config.ca_file, config.cert_file, config.key_file)
        except ValueError as error:
            context = str(error)
        latest.clear()
        latest[stamps] = context
    return context


# Shared by all targets of an application: a context is too large for each to have its own.
@lru_cache(maxsize=1024)
def _latest(_config: TlsConfig) -> dict[tuple[Stamp, ...], ssl.SSLContext | str]:
    """The context made last, by its stamps: contexts of replaced certificates are dropped."""
    return {}
