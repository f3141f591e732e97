"""`pg-pool-exporter explain`: shows the pools that the exporter reads on a metrics page."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import fields

from pg_pool_exporter.commands.options import Options
from pg_pool_exporter.commands.output import FAILURE, SUCCESS, complain, count, write
from pg_pool_exporter.config import load
from pg_pool_exporter.config.page_address import PageAddress, page_address
from pg_pool_exporter.discovery import Discovery
from pg_pool_exporter.formats import AUTO, JOLOKIA, Format
from pg_pool_exporter.model import Histogram, PoolSample
from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.http.client import HttpClient
from pg_pool_exporter.sources.http.fetch import MAX_BODY_BYTES, Request, too_large
from pg_pool_exporter.sources.http.request_options import request_options
from pg_pool_exporter.sources.pages.app_page import AppPage, connector_to, table_of
from pg_pool_exporter.sources.pages.explanation import ExplainedPool, Explanation, explain
from pg_pool_exporter.sources.pages.target_defaults import TargetDefaults
from pg_pool_exporter.sources.pages.text_source import page_text

_SECONDS = 30.0
_STANDARD_INPUT = "-"
_MOST_UNUSED = 50
_NO_VALUES = ("key", "info")


def main(options: Options) -> int:
    """Print the pools of the page; the exit code. Raises `ConfigError`."""
    assert options.page is not None
    try:
        page, defaults, form = _page(options)
    except PollError as error:
        complain(f"the page cannot be read ({error.reason}): {error}")
        return FAILURE
    found = explain(page, table_of(form), defaults)
    write("".join(f"{line}\n" for line in _lines(found, defaults)))
    return SUCCESS if found.pools and not found.error else FAILURE


def _page(options: Options) -> tuple[bytes, TargetDefaults, Format | str]:
    text = options.page or ""
    if text == _STANDARD_INPUT:
        page = sys.stdin.buffer.read(MAX_BODY_BYTES + 1)
        if len(page) > MAX_BODY_BYTES:
            raise too_large()
        return page, TargetDefaults(app="application", process="stdin"), AUTO
    address = page_address(text)
    app = _configured(options, address) or AppPage(
        address, TargetDefaults(app="application", process=address.name)
    )
    if app.format == JOLOKIA:
        raise PollError("protocol", "Jolokia serves MBeans, not a metrics page")
    return asyncio.run(_fetched(app)), app.defaults, app.format


def _configured(options: Options, address: PageAddress) -> AppPage | None:
    """The page as the configuration describes it."""
    if options.config_file is None:
        return None
    for target in Discovery(load(options.config_file)).targets():
        page = target.settings[0] if target.id.kind == "app" else None
        if isinstance(page, AppPage) and page.address == address:
            return page
    raise PollError("protocol", f"{options.config_file} has no app with this address")


async def _fetched(app: AppPage) -> bytes:
    client = HttpClient(connector_to(app.address))
    try:
        async with asyncio.timeout(_SECONDS):
            request = Request(app.address.url, await request_options(app.http_client))
            return page_text(await client.fetch(request))
    except TimeoutError:
        raise PollError("timeout", f"no answer within {_SECONDS:g} s") from None
    finally:
        await client.close()


def _lines(found: Explanation, defaults: TargetDefaults) -> Iterator[str]:
    yield f"{defaults.process}: {count(len(found.pools), 'pool')}"
    if found.error:
        yield f"error: {found.error}"
    for pool in found.pools:
        yield from _pool(pool)
    if found.folded:
        yield f"and {found.folded} more, over the limits of pools and lines of code"
    if found.unused:
        yield ""
        yield "looks like a pool's, and is not used:"
        yield from (f"  {one.name}: {one.reason}" for one in found.unused[:_MOST_UNUSED])
        if len(found.unused) > _MOST_UNUSED:
            yield f"  and {len(found.unused) - _MOST_UNUSED} more"


def _pool(pool: ExplainedPool) -> Iterator[str]:
    key = pool.sample.key
    yield ""
    yield f"pool {key.pool}, process {key.process}"
    yield f"  format: {', with lines of '.join(pool.formats)}"
    yield f"  values: {', '.join(_values(pool.sample)) or 'none'}"
    yield f"  series: {', '.join(pool.series)}"
    if pool.uneven:
        labels = ", ".join(pool.uneven)
        yield f"  incomplete: others of its name have the label {labels}, which these series lack"


def _values(sample: PoolSample) -> Iterator[str]:
    for field in fields(PoolSample):
        value = getattr(sample, field.name)
        if field.name in _NO_VALUES or value is None or value == {}:
            continue
        if isinstance(value, float | int):
            yield f"{field.name} {value:g}"
        elif isinstance(value, Histogram):
            yield f"{field.name} {value.count} observations"
        else:
            yield f"{field.name} {'; '.join(f'{number:g} {key}' for key, number in value.items())}"
