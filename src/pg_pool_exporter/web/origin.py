"""Protects requests with effects against other web pages in a user's browser."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Collection

from aiohttp import hdrs, web

_HOST = re.compile(r"(?:\[(?P<ipv6>[^\[\]]+)\]|(?P<name>[^\[\]:]+))(?::\d{1,5})?", re.ASCII)


def is_foreign(request: web.BaseRequest, own_names: Collection[str]) -> bool:
    """Whether a request comes from another web page, or asks for a host that is not this one.

    A browser sends `Origin` with each request that changes something. That alone is not enough: a
    page's own name can be made to resolve to our address (DNS rebinding), and then both headers
    agree. So `Host` must be an IP address, `localhost`, this machine's name or one of `own_names`.
    """
    hosts = request.headers.getall(hdrs.HOST, [])
    origins = request.headers.getall(hdrs.ORIGIN, [])
    if not all(_is_ours(host, own_names) for host in hosts):
        return True
    return any(
        origin.lower() not in (f"http://{host}".lower(), f"https://{host}".lower())
        for origin in origins
        for host in hosts or [""]
    )


def _is_ours(host: str, own_names: Collection[str]) -> bool:
    found = _HOST.fullmatch(host.lower())
    if found is None:
        return False
    if found["name"] in {"localhost", socket.gethostname().lower(), *map(str.lower, own_names)}:
        return True
    try:
        ipaddress.ip_address(found["ipv6"] or found["name"])
    except ValueError:
        return False
    return True
