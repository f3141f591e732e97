"""Targets that are looked up, over the real daemon: they come and go without a restart."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pg_pool_exporter.commands.single_poll import poll_once
from pg_pool_exporter.config import load
from pg_pool_exporter.discovery import dns_sd
from support import pages
from support.busy import within
from support.daemons import Scraper, exporting
from support.dns_server import name_server
from support.pages import Peer, Served, answer, good, head, nothing, page_of, pool

UP = "pg_pool_exporter_discovery_up"
TARGETS = "pg_pool_exporter_discovery_targets"


def configure(directory: Path, **discovery: object) -> Path:
    """A configuration of one app whose targets are looked up."""
    path = directory / "exporter.yaml"
    app = {"name": "orders", "interval": "300ms", "timeout": "200ms", **discovery}
    path.write_text(json.dumps({"socket_dir": "", "apps": [app]}))
    return path


def write(path: Path, *urls: str) -> None:
    """Put a list of these pages' addresses into place."""
    new = path.with_suffix(".new")
    new.write_text(listing(*urls).decode())
    new.rename(path)


def listing(*urls: str) -> bytes:
    """A list of these pages' addresses."""
    return json.dumps([{"targets": [urlsplit(url).netloc for url in urls]}]).encode()


def target(url: str) -> str:
    """The name of the target that is the page at `url`."""
    return f"orders@{urlsplit(url).netloc}"


async def found(scraper: Scraper, *urls: str) -> bool:
    """Whether these pages, and no others, are up."""
    _, text = await scraper.get()
    up = {line for line in text.splitlines() if line.startswith("pg_pool_exporter_target_up{")}
    wanted = {f'pg_pool_exporter_target_up{{target="{target(url)}",kind="app"}} 1' for url in urls}
    return up == wanted


def test_a_target_comes_and_goes_with_its_line_in_a_file_and_the_others_go_on(
    tmp_path: Path,
) -> None:
    file = tmp_path / "orders.json"

    async def main() -> None:
        async with pages.serving(good) as stays, pages.serving(other) as leaves:
            write(file, stays.url, leaves.url)
            async with exporting(configure(tmp_path, file_sd=["*.json"])) as scraper:
                await scraper.until(lambda: found(scraper, stays.url, leaves.url))
                assert (
                    'pg_pool_max_connections{app="orders",pool="mail"' in (await scraper.get())[1]
                )
                polls = await scraper.value("pg_pool_exporter_polls_total", target(stays.url))
                write(file, stays.url)
                assert await scraper.until(lambda: found(scraper, stays.url)) < 2
                _, text = await scraper.get()
                assert target(leaves.url) not in text
                assert 'pg_pool_max_connections{app="orders",pool="mail"' not in text
                after = await scraper.value("pg_pool_exporter_polls_total", target(stays.url))
                assert (after or 0) >= (polls or 0) > 0, "its poller is the same"
                assert await scraper.value(TARGETS) == 1
                file.unlink()
                await scraper.until(lambda: found(scraper))

    asyncio.run(main())


other = answer(page_of(pool(app="of the page", name="mail")), "Content-Type: text/plain")


def test_a_file_that_breaks_keeps_its_targets_and_is_shown(tmp_path: Path) -> None:
    file = tmp_path / "orders.yml"

    async def main() -> None:
        async with pages.serving(good) as page:
            file.write_text(f"- targets: ['{urlsplit(page.url).netloc}']\n")
            async with exporting(configure(tmp_path, file_sd=["orders.yml"])) as scraper:
                await scraper.until(lambda: found(scraper, page.url))
                assert await scraper.value(UP) == 1
                file.write_text("- targets: [")

                async def shown() -> bool:
                    return await scraper.value(UP) == 0

                await scraper.until(shown)
                assert await found(scraper, page.url)
                assert await scraper.post("/-/reload") == 200
                await scraper.until(shown)
                assert await found(scraper, page.url), "after a reload, too"

    asyncio.run(main())


class ListServer:
    """Serves a list that can be changed; None is a failure."""

    def __init__(self) -> None:
        self.content: bytes | None = None
        self.asked = b""
        """The head of the last request."""

    async def __call__(self, peer: Peer) -> None:
        self.asked = await peer.request()
        if self.content is None:
            await peer.send(head("Content-Length: 0", status="503 Service Unavailable"))
        else:
            length = f"Content-Length: {len(self.content)}"
            await peer.send(head("Content-Type: application/json", length) + self.content)


@asynccontextmanager
async def serving_both_and(lists: ListServer) -> AsyncIterator[tuple[Served, Served, Served]]:
    """Two pages that a list can name, and the server of the list."""
    async with (
        pages.serving(good) as first,
        pages.serving(other) as second,
        pages.serving(lists) as server,
    ):
        yield first, second, server


def test_a_list_over_http_is_followed_and_outlives_its_server_and_a_reload(tmp_path: Path) -> None:
    lists = ListServer()

    async def main() -> None:
        async with serving_both_and(lists) as (first, second, server):
            lists.content = listing(first.url)
            place = {"url": f"{server.url}?token=hunter2", "refresh_interval": "1s"}
            path = configure(tmp_path, http_sd=[place])
            async with exporting(path) as scraper:
                await scraper.until(lambda: found(scraper, first.url))
                lists.content = listing(second.url)
                await scraper.until(lambda: found(scraper, second.url))
                lists.content = None

                async def shown() -> bool:
                    return await scraper.value(UP, f'list="{server.url}"') == 0

                await scraper.until(shown)
                configure(tmp_path, http_sd=[place | {"refresh_interval": "2s"}])
                assert await scraper.post("/-/reload") == 200
                assert await found(scraper, second.url)
                assert "hunter2" not in (await scraper.get())[1]

    asyncio.run(main())


def test_a_header_that_a_reload_changes_is_sent_and_the_former_targets_stay_meanwhile(
    tmp_path: Path,
) -> None:
    lists = ListServer()

    async def main() -> None:
        async with serving_both_and(lists) as (first, second, server):
            lists.content = listing(first.url)
            place = {"url": server.url, "refresh_interval": "1s"}
            path = configure(tmp_path, http_sd=[place | {"headers": {"X-Scope-OrgID": "former"}}])
            async with exporting(path) as scraper:
                await scraper.until(lambda: found(scraper, first.url))
                assert b"X-Scope-OrgID: former" in lists.asked
                lists.content = None
                configure(tmp_path, http_sd=[place | {"headers": {"X-Scope-OrgID": "new"}}])
                assert await scraper.post("/-/reload") == 200

                async def asked_anew() -> bool:
                    return b"X-Scope-OrgID: new" in lists.asked

                await scraper.until(asked_anew)
                assert await found(scraper, first.url)
                lists.content = listing(second.url)
                await scraper.until(lambda: found(scraper, second.url))
                assert b"X-Scope-OrgID: new" in lists.asked

    asyncio.run(main())


def test_addresses_in_dns_are_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with pages.serving(good) as page, name_server({}) as server:
            monkeypatch.setattr(dns_sd, "resolver", server.resolver)
            port = urlsplit(page.url).port
            server.records["web.example.org.", "A"] = ["127.0.0.1"]
            place = {"names": ["web.example.org"], "type": "A", "port": port}
            path = configure(tmp_path, dns_sd=[place | {"refresh_interval": "1s"}])
            async with exporting(path) as scraper:
                await scraper.until(lambda: found(scraper, page.url))
                server.silent = True
                await asyncio.sleep(1.2)
                assert await found(scraper, page.url), "a name server that fails takes nothing away"
                server.silent = False
                del server.records["web.example.org.", "A"]
                await scraper.until(lambda: found(scraper), 15)

    asyncio.run(main())


def test_a_list_that_never_comes_holds_up_neither_polls_nor_reloads_nor_the_end(
    tmp_path: Path,
) -> None:
    async def main() -> float:
        async with pages.serving(nothing) as hung, pages.serving(good) as page:
            path = configure(tmp_path, http_sd=[{"url": hung.url}], targets=[page.url])
            async with exporting(path) as scraper:
                await scraper.until(lambda: found(scraper, page.url))
                began = time.monotonic()
                assert await scraper.post("/-/reload") == 200
                assert time.monotonic() - began < within(1)
                assert await found(scraper, page.url)
                began = time.monotonic()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return time.monotonic() - began

    assert asyncio.run(main()) < within(2)


def test_a_page_that_several_lists_have_is_one_target(tmp_path: Path) -> None:
    async def main() -> None:
        async with pages.serving(good) as page:
            for name in ("a.json", "b.json"):
                write(tmp_path / name, page.url)
            path = configure(tmp_path, file_sd=["a.json", "b.json"], targets=[page.url])
            async with exporting(path) as scraper:
                await scraper.until(lambda: found(scraper, page.url))

    asyncio.run(main())


def test_after_many_changes_exactly_the_last_list_is_polled(tmp_path: Path) -> None:
    file = tmp_path / "orders.json"

    async def main() -> None:
        async with AsyncExitStack() as stack:
            urls = [(await stack.enter_async_context(pages.serving(good))).url for _ in range(12)]
            async with exporting(configure(tmp_path, file_sd=["*.json"])) as scraper:
                for round_ in range(20):
                    write(file, *urls[round_ % 5 : round_ % 5 + 6])
                    await asyncio.sleep(0.1)
                write(file, *urls[9:])
                await scraper.until(lambda: found(scraper, *urls[9:]))
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_polling_once_looks_targets_up_first(tmp_path: Path) -> None:
    async def main() -> None:
        async with pages.serving(good) as page:
            write(tmp_path / "orders.json", page.url)
            path = configure(tmp_path, file_sd=["*.json"])
            outcome = await poll_once(load(path))
            assert outcome.successful
            assert 'pg_pool_max_connections{app="orders"' in outcome.page
            (tmp_path / "orders.json").write_text("[")
            outcome = await poll_once(load(path))
            assert not outcome.successful
            assert f"{UP}{{" in outcome.page

    asyncio.run(main())
