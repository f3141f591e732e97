"""Lists of addresses that are served over HTTP."""

from __future__ import annotations

from functools import partial
from typing import ClassVar
from urllib.parse import urlsplit

from pg_pool_exporter.blocking.threads import PARSING
from pg_pool_exporter.config.discovery import REFRESH_HEADER, HttpSdConfig
from pg_pool_exporter.discovery.address_list import MAX_BYTES, ListError, from_json
from pg_pool_exporter.discovery.discoverer import Discoverer, Listing
from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.http.client import HttpClient
from pg_pool_exporter.sources.http.fetch import DOCUMENT, Request
from pg_pool_exporter.sources.http.request_options import request_options


class HttpDiscoverer(Discoverer):
    """The list at a URL, asked for as its configuration says."""

    mechanism: ClassVar[str] = "http_sd"

    def __init__(self, config: HttpSdConfig) -> None:
        self.key = config.url
        self._http_client = config.http_client
        self._interval = f"{config.refresh_interval:.15g}"
        parts = urlsplit(config.url)
        # Without the query, which can hold a token.
        self.name = f"{parts.scheme}://{parts.netloc}{parts.path}"

    async def discover(self) -> Listing:
        """Get the list, over a connection of its own."""
        client = HttpClient()
        try:
            options = await request_options(self._http_client)
            headers = {**options.headers, REFRESH_HEADER: self._interval}
            options = options._replace(headers=headers)
            body = await client.fetch(Request(self.key, options, accepted=DOCUMENT))
        except PollError as error:
            raise ListError(f"not read: {error}") from None
        finally:
            await client.close()
        if body.gzipped:
            raise ListError("is compressed, which was not asked for")
        if len(body.content) > MAX_BYTES:
            raise ListError(f"is larger than {MAX_BYTES // 1024} KiB")
        addresses = await PARSING.run(partial(from_json, body.content))
        return Listing(tuple(addresses))
