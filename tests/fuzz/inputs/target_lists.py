"""Lists of targets, as JSON and as YAML, up to the URLs of the pages."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from fuzz.harness import Harness, check_error, pure
from pg_pool_exporter.config import AppConfig
from pg_pool_exporter.discovery.address_list import ListError, from_json, from_yaml
from pg_pool_exporter.discovery.page_urls import url_of
from pg_pool_exporter.metrics.text_format import Blocks

_APP = AppConfig.model_validate({"name": "orders", "targets": ["http://orders:8080"]})


def _check(data: bytes) -> Sequence[Blocks]:
    for read in (from_json, from_yaml):
        try:
            addresses = read(data)
        except ListError as error:
            check_error(error)
            continue
        for address in addresses[:100]:
            with suppress(ValueError):
                url_of(address, _APP)
    return ()


HARNESS = Harness(
    name="target_lists",
    seeds=[
        (b'[{"targets": ["orders-1:8080", "[::1]:9187"], "labels": {"__scheme__": "https",'
        b' "__metrics_path__": "/a b", "__param_x": "1"}}, {"targets": []}]'),
        b"- targets: [orders-1:8080, 'orders-2:8080']\n  labels: {team: shop}\n- targets: []\n",
        b"[]",
    ],
    tokens=[
        b'"targets":', b'"labels":', b'"__scheme__":"https"', b'"__metrics_path__":"/m"', b"- ",
        b'"__param_x":', b'"a:1"', b"[::1]:80", b"[::1%eth0]:80", b"h:99999", b"@", b"&a ", b"*a",
        b"!!float x", b"!!timestamp x", b"<<: ", b"\\ud800", b"null", b"1:1:1:1", b"[[[[[[[[",
        b"{}",
    ],
    start=pure(_check),
    max_bytes=128 * 1024,
)  # fmt: skip
