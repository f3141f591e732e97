"""Where a page is: `http://host:port/path?query`, or `unix:/path/of/socket:/path?query`."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import NamedTuple
from urllib.parse import urlsplit

from pg_pool_exporter.formats import JOLOKIA, JOLOKIA_PATH
from pg_pool_exporter.sockets import PAGE_PATH

MAX_ADDRESS = 2048
UNIX = "unix:"


class PageAddress(NamedTuple):
    """The parts of an address. Only the query can hold a secret."""

    url: str
    """What is asked for; of a page at a socket the host in it has no meaning."""
    host: str
    """`host:port`, or `unix:/path/of/socket`."""
    path: str
    socket: str
    """The path of the unix socket; empty for one at a host."""

    @property
    def page(self) -> str:
        """The address without its query."""
        return f"{self.host}:{self.path}" if self.socket else f"{self.host}{self.path}"

    @property
    def text(self) -> str:
        """The whole address, as it stands in the configuration."""
        if not self.socket:
            return self.url
        _, _, query = self.url.partition("?")
        return f"{self.page}?{query}" if query else self.page


def default_path(form: str) -> str:
    """The path of a page in the format of this name, where its address has none."""
    return JOLOKIA_PATH if form == JOLOKIA else PAGE_PATH


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
        valid = parts.scheme in ("http", "https") and _is_host(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ValueError("must be a URL, like http://orders:8080/metrics")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user or a password")
    if parts.fragment:
        raise ValueError("must have no #fragment")
    parts = parts._replace(path=parts.path or default_path)
    return PageAddress(parts.geturl(), parts.netloc, parts.path, "")


def _is_host(text: str | None) -> bool:
    """Whether the client takes it for a host. Raises `ValueError` for what is no IPv4 address."""
    if not text or "\\" in text:
        return False
    if text.replace(".", "").isdigit():
        IPv4Address(text)  # which has no short forms, as 127.1
    return True


def _at_socket(text: str, default_path: str) -> PageAddress:
    socket, _, page = text.partition(":")
    page = page or default_path
    path, _, query = page.partition("?")
    if not socket.startswith("/") or not path.startswith("/") or "#" in page:
        raise ValueError("must be like unix:/run/orders.sock or unix:/run/orders.sock:/metrics")
    url = f"http://localhost{path}"
    return PageAddress(f"{url}?{query}" if query else url, f"{UNIX}{socket}", path, socket)
