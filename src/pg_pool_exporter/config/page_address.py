"""Where a page is: `http://host:port/path?query`, or `unix:/path/of/socket:/path?query`."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from ipaddress import IPv4Address
from typing import NamedTuple
from urllib.parse import urlsplit

from pg_pool_exporter.formats import JOLOKIA, JOLOKIA_PATH
from pg_pool_exporter.model import is_local
from pg_pool_exporter.sockets import PAGE_PATH

MAX_ADDRESS = 2048
UNIX = "unix:"
_DEFAULT_PORTS = {"http": 80, "https": 443}


class PageAddress(NamedTuple):
    """The parts of an address. Only the query can hold a secret."""

    url: str
    """URL of the request; for a socket its host has no meaning."""
    host: str
    """In lower case; IPv6 in brackets. Empty for a page at a socket."""
    port: int
    """0 for a page at a socket."""
    socket: str
    """The path of the unix socket; empty for a page at a host."""
    path: str
    query: str

    @property
    def name(self) -> str:
        """The page's name, different for each page and independent of other pages.

        `host:port` or `unix:/path/of/socket`; then the path, unless it is `/metrics`; then a short
        digest of the query, if there is one. Not the query itself: it can hold a token.
        """
        name = f"{UNIX}{self.socket}" if self.socket else f"{self.host}:{self.port}"
        if self.path != PAGE_PATH:
            name += f":{self.path}" if self.socket else self.path
        if self.query:
            name += f"~{blake2b(self.query.encode(), digest_size=4).hexdigest()}"
        return name

    @property
    def text(self) -> str:
        """The whole address, as the configuration has it."""
        if not self.socket:
            return self.url
        query = f"?{self.query}" if self.query else ""
        return f"{UNIX}{self.socket}:{self.path}{query}"

    @property
    def is_encrypted(self) -> bool:
        """Whether a request to it can't be read on the way: it is https, or never leaves here."""
        return self.is_local or self.url.startswith("https:")

    @property
    def is_local(self) -> bool:
        """Whether the page is served on this machine."""
        return bool(self.socket) or is_local(self.host.strip("[]"))


def default_path(form: str) -> str:
    """The path of a page in the format of this name, where its address has none."""
    return JOLOKIA_PATH if form == JOLOKIA else PAGE_PATH


# A changed list has mostly known addresses; parsing a thousand takes 10 ms of the event loop. The
# addresses of a cluster whose pods come and go are forgotten.
@lru_cache(maxsize=1024)
def page_address(text: str, default_path: str = PAGE_PATH) -> PageAddress:
    """The address that `text` gives; without a path it is at `default_path`.

    Raises `ValueError`, whose message holds nothing of `text`.
    """
    if len(text) > MAX_ADDRESS or not text.isprintable() or " " in text:
        raise ValueError(f"must be a URL of at most {MAX_ADDRESS} printable characters")
    if text.startswith(UNIX):
        return _at_socket(text.removeprefix(UNIX), default_path)
    try:
        parts = urlsplit(text)
        valid = parts.scheme in _DEFAULT_PORTS and _is_host(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ValueError("must be a URL, like http://orders:8080/metrics")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user or a password")
    if parts.fragment:
        raise ValueError("must have no #fragment")
    parts = parts._replace(path=parts.path or default_path)
    host, port = parts.hostname or "", parts.port or _DEFAULT_PORTS[parts.scheme]
    host = f"[{host}]" if ":" in host else host
    return PageAddress(parts.geturl(), host, port, "", parts.path, parts.query)


def _is_host(text: str | None) -> bool:
    """Whether the client takes it for a host. Raises `ValueError` for what is no IPv4 address."""
    if not text or "\\" in text:
        return False
    if text.replace(".", "").isdigit():
        IPv4Address(text)  # which has no short forms, as 127.1
    return True


def _at_socket(text: str, default_path: str) -> PageAddress:
    place, _, query = text.partition("?")
    # A colon that no slash follows belongs to the socket's path.
    socket, _, rest = place.partition(":/")
    path = f"/{rest}" if rest else default_path
    if not socket.startswith("/") or "#" in text:
        raise ValueError("must be like unix:/run/orders.sock or unix:/run/orders.sock:/metrics")
    url = f"http://localhost{path}"
    return PageAddress(f"{url}?{query}" if query else url, "", 0, socket, path, query)
