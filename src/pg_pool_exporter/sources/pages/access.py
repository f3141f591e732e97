"""What a page is asked for with, as the files of the configuration say it at the moment."""

from __future__ import annotations

import ssl
from base64 import b64encode
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from pg_pool_exporter.blocking.secrets import PasswordError, read_file
from pg_pool_exporter.blocking.stamps import Stamp, stamp
from pg_pool_exporter.config.access import AccessConfig, TlsConfig, client_context, header_value
from pg_pool_exporter.sources.base import PollError


class Access(NamedTuple):
    """Headers of a request, and how TLS is spoken if the page is an https one."""

    headers: Mapping[str, str] = {}
    tls: ssl.SSLContext | bool = True
    server_name: str | None = None


PLAIN = Access()


def access(config: AccessConfig) -> Access:
    """Read the files. Raises `PollError` when one can't be used any more.

    It costs some microseconds a file: cheap enough for each poll, so a new password or certificate
    is in use at the next one.
    """
    headers = dict(config.headers)
    try:
        for name, path in config.header_files.items():
            headers[name] = _header(read_file(path, "header_files"), "header_files")
        if config.basic_auth is not None:
            password = read_file(config.basic_auth.password_file)
            pair = f"{config.basic_auth.username}:{password}".encode()
            headers["Authorization"] = f"Basic {b64encode(pair).decode()}"
        if config.bearer_token_file is not None:
            token = read_file(config.bearer_token_file, "bearer_token_file")
            headers["Authorization"] = f"Bearer {_header(token, 'bearer_token_file')}"
    except PasswordError as error:
        raise PollError("auth", str(error)) from None
    if config.tls_config == TlsConfig():
        return Access(headers)
    tls = config.tls_config
    files = (tls.ca_file, tls.cert_file, tls.key_file)
    context = _context(tls, tuple(stamp(file or "") for file in files))
    if isinstance(context, str):
        raise PollError("auth", f"tls_config: a file {context}")
    return Access(headers, context, tls.server_name)


def _header(value: str, key: str) -> str:
    try:
        return header_value(value)
    except ValueError as error:
        raise PollError("auth", f"{key}: the content {error}") from None


# All targets of an application share one; a context is too large for each to have its own.
@lru_cache(maxsize=1024)
def _context(config: TlsConfig, stamps: tuple[Stamp, ...]) -> ssl.SSLContext | str:  # noqa: ARG001
    """The context for these files as they were when they had these stamps, or what is wrong.

    That is kept, too: a context costs some 20 ms, in which nothing else runs.
    """
    try:
        return client_context(config.ca_file, config.cert_file, config.key_file)
    except ValueError as error:
        return str(error)
