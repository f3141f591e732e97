"""From an address in a list to the URL of a page, by the labels that Prometheus knows."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from pg_pool_exporter.config import AppConfig
from pg_pool_exporter.config.page_address import default_path, page_address
from pg_pool_exporter.discovery.address_list import Address

_PARAMETER = "__param_"
_SCHEMES = ("http", "https")
# What a path may hold as it is (RFC 3986), and what is encoded already.
_UNQUOTED = "/%:@!$&'()*+,;="


def url_of(address: Address, app: AppConfig) -> str:
    """The URL of the page at `address`.

    `__scheme__`, `__metrics_path__` and `__param_NAME` win over the settings of `app`; all other
    labels are ignored. Raises `ValueError` with a predicate about the address.
    """
    labels = address.labels
    scheme = labels.get("__scheme__") or app.scheme
    if scheme not in _SCHEMES:
        raise ValueError("must have http or https as its __scheme__")
    if "@" in address.text:
        raise ValueError("must not hold a user or a password")
    if not address.text or any(c in "/?#\\" or c.isspace() for c in address.text):
        raise ValueError("must be HOST:PORT, without scheme and path")
    path = labels.get("__metrics_path__") or app.metrics_path or default_path(app.format)
    parameters = {
        name.removeprefix(_PARAMETER): value
        for name, value in sorted(labels.items())
        if name.startswith(_PARAMETER)
    }
    query = f"?{urlencode(parameters)}" if parameters else ""
    path = quote("/" + path.lstrip("/"), safe=_UNQUOTED)
    page = page_address(f"{scheme}://{address.text}{path}{query}").text
    app.require_encryption("must be https", [page])
    return page
