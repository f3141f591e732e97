"""A server that lies about its log costs its own poll, and no time or memory of ours."""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple

from pydantic import SecretStr

from pg_pool_exporter.config import LogConfig, ServerConfig
from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.server_log import log_source
from pg_pool_exporter.sources.server_log.context import ServerLogContext
from support.busy import within
from support.fake_server import DONE, READY, columns, lying_server, row
from support.polling import run, snapshot_of
from support.server_answers import SETUP

SETTINGS = (
    columns(("prefix", 25), ("destination", 25), ("collector", 16), ("least", 25), ("role", 25))
    + row(b"%m [%p] ", b"stderr", b"t", b"warning", b"exporter") + DONE
    + columns(("own_level", 16), ("directory", 25), ("filename", 25))
    + row(b"f", b"log", b"postgresql.log") + DONE
    + columns(("connections", 25), ("disconnections", 16), ("is_current", 16), ("loaded", 25))
    + row(b"on", b"t", b"t", b"today") + DONE
    + columns(("messages", 25)) + row(b"C") + DONE
    + columns(("database", 25)) + DONE + READY
)  # fmt: skip
LANGUAGES = columns(("messages", 25)) + DONE + READY
TRUSTED = columns(("trusted", 23)) + row(b"1") + DONE


def files(names: list[bytes]) -> bytes:
    rows = b"".join(row(name, b"1000", b"%d" % number) for number, name in enumerate(names))
    listed = columns(("name", 25), ("size", 20), ("modified", 701)) + rows
    return TRUSTED + listed + DONE + READY


def piece(content: bytes) -> bytes:
    return TRUSTED + columns(("piece", 17)) + row(b"\\x" + content.hex().encode()) + DONE + READY


class Poll(NamedTuple):
    """How a poll of the log went, and the longest time in which the loop did nothing else."""

    error: str
    pause: float


async def poll(answers: list[bytes]) -> Poll:
    pause = 0.0

    async def watch() -> None:
        nonlocal pause
        last = time.monotonic()
        while True:
            await asyncio.sleep(0.001)
            pause, last = max(pause, (now := time.monotonic()) - last), now

    async with lying_server([SETUP, LANGUAGES, SETTINGS, *answers]) as port:
        dsn = SecretStr(f"host=127.0.0.1 port={port} user=u sslmode=disable dbname=d")
        config = ServerConfig(name="main", dsn=dsn, log=LogConfig(sql=True))
        source = log_source(config, "", ServerLogContext())
        watching = asyncio.create_task(watch())
        error = ""
        try:
            await snapshot_of(source)
        except PollError as failed:
            error = str(failed)
        watching.cancel()
        await source.close()
    return Poll(error, pause)


def test_a_listing_of_any_size_stops_nothing_else() -> None:
    async def main() -> None:
        names = [b"postgresql-%d.log" % number for number in range(20_000)]
        error, pause = await poll([files(names), piece(b"x" * 512)])
        assert not error
        assert pause < within(0.3)

    run(main())


def test_a_name_that_no_file_can_have_is_no_file() -> None:
    async def main() -> None:
        names = [b"x" * 300 + b"%d.log" % number for number in range(1000)]
        assert "no stderr file" in (await poll([files(names)])).error

    run(main())


def test_a_piece_that_is_larger_than_asked_for_is_not_read() -> None:
    async def main() -> None:
        answers = [files([b"postgresql.log"]), piece(b"x" * 4_000_000)]
        assert "bytes of a log instead of" in (await poll(answers)).error

    run(main())
