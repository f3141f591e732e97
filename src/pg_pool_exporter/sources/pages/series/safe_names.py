"""Removes passwords from names of pools.

Npgsql names a pool by its connection string unless it has another name, OpenTelemetry's
instrumentations by a URL. Both can contain a password, so only parts known to be harmless are
shown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from pg_pool_exporter.model import PoolInfo
from pg_pool_exporter.sources.pages.series.text_syntax import MAX_LABEL_CHARACTERS, cut, is_cut

HIDDEN = "a connection string"
"""The name of a pool whose connection string has no harmless part."""

# A value is quoted, with its quotes doubled inside, or goes to the next separator and has no quotes
# in it. A quote that is never closed goes to the end: what seems to follow it is part of the value.
_PAIR = re.compile(
    r"""\s*+([A-Za-z][A-Za-z_]*+(?:[ ]++[A-Za-z_]++)*+)\s*+=\s*+"""
    r"""("(?:[^"]|"")*+(?:"|$)|'(?:[^']|'')*+(?:'|$)|[^;"']*+)\s*+(?:;|$)"""
)
# libpq separates by spaces, and a backslash makes the next character plain.
_WORD = re.compile(
    r"""\s*+([a-z_]+)\s*+=\s*+('(?:[^'\\]|\\.)*+(?:'|$)|(?:[^\s'\\]|\\.)*+)(?:\s++|$)"""
)
# Names of node-postgres in its exporter, and in OpenTelemetry's conventions.
_PLACE = re.compile(r"(?P<host>[^\s:/@]++|\[[0-9a-fA-F:.]++\]):(?P<port>\d{1,5})/(?P<database>.+)")
_FIELDS = {
    "host": "host",
    "server": "host",
    "data source": "host",
    "port": "port",
    "database": "database",
    "db": "database",
    "initial catalog": "database",
    "dbname": "database",
    "username": "user",
    "user": "user",
    "user id": "user",
    "user name": "user",
    "uid": "user",
    "application name": "application",
    "application_name": "application",
}


# Settings of Npgsql and libpq that are no secret. Each makes another pool of the same server.
_HARMLESS = frozenset({
    "maximum pool size", "minimum pool size", "max pool size", "min pool size", "timeout",
    "command timeout", "connection idle lifetime", "connection lifetime", "pooling", "search path",
    "target session attributes", "load balance hosts", "multiplexing", "enlist", "keepalive",
    "tcp keepalive", "ssl mode", "timezone", "options", "client encoding", "encoding",
    "max auto prepare", "no reset on close", "read buffer size", "write buffer size",
    "include error detail", "persist security info", "connect_timeout", "sslmode",
    "target_session_attrs",
})  # fmt: skip


class PoolName(NamedTuple):
    """The name of a pool, and the server's facts in it."""

    name: str
    info: PoolInfo
    rest: tuple[tuple[str, str], ...] = ()
    """Other settings of a connection string, which distinguish pools of one server."""

    @property
    def is_unpooled(self) -> bool:
        """Whether each connection is opened for one use: then nothing can be full, nor wait."""
        return any((key.lower(), value.lower()) == ("pooling", "false") for key, value in self.rest)


def safe_pool_name(text: str) -> PoolName:
    """The name `text`, or of a connection string `user@host:port/database`.

    Text that was cut (`text_syntax.cut`) may have lost the end of a password's quotes.
    """
    if "://" in text:
        return _of(_url(text))
    if "=" in text:
        fields, rest = _pairs(text)
        return _of(fields)._replace(rest=rest)
    # One like `orders@eu` has no place for a password, and need not be that of a user at a host.
    if "@" in text and (":" in text or "/" in text):
        return _of(_url(f"//{text}"))
    place = _PLACE.fullmatch(text)
    return PoolName(text, PoolInfo(**place.groupdict()) if place else PoolInfo())


def _of(fields: Mapping[str, str]) -> PoolName:
    info = PoolInfo(**fields)
    name = f"{info.user}@" if info.user else ""
    name += f"{info.host}:{info.port}" if info.port else info.host
    name += f"/{info.database}" if info.database else ""
    name = " ".join(filter(None, (info.application, name)))
    return PoolName(name or HIDDEN, info)


def _url(text: str) -> dict[str, str]:
    if len(text) >= MAX_LABEL_CHARACTERS:
        # Cut, perhaps in the password: the rest may have no @ behind it.
        return {}
    try:
        parts = urlsplit(text.removeprefix("jdbc:"))
        port = parts.port
    except ValueError:
        return {}
    # A password with an unescaped slash or question mark moves the end of the host in front of it.
    if "@" in parts.path + parts.query + parts.fragment:
        return {}
    return {
        "host": parts.hostname or "",
        "port": "" if port is None else str(port),
        "database": parts.path.strip("/"),
        "user": parts.username or "",
    }


def _pairs(text: str) -> tuple[dict[str, str], tuple[tuple[str, str], ...]]:
    pattern = _PAIR if ";" in text else _WORD
    fields: dict[str, str] = {}
    rest: list[tuple[str, str]] = []
    at = 0
    while at < len(text):
        pair = pattern.match(text, at)
        if pair is None or pair.end() == at:
            # The rest may be a password.
            return {}, ()
        at = pair.end()
        if at == len(text) and is_cut(text):
            break  # The rest may be a part of a password's quotes.
        key = pair[1].lower()
        if key in _FIELDS:
            fields[_FIELDS[key]] = cut(_unquoted(pair[2]))
        elif key in _HARMLESS:
            rest.append((pair[1], cut(_unquoted(pair[2]))))
    return fields, tuple(rest)


def _unquoted(value: str) -> str:
    return value[1:-1] if value[:1] in ('"', "'") else value.strip()
