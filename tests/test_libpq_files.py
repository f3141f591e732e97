"""Files that libpq itself reads: none of them holds the event loop, whatever is in its place."""

from __future__ import annotations

import asyncio
import os
import struct
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Event

import pytest
from pydantic import SecretStr

from pg_pool_exporter.config import ServerConfig
from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.connection import libpq_files
from pg_pool_exporter.sources.postgres.source import PostgresSource
from support.fake_server import lying_server, message
from support.postgres import Cluster


def source(dsn: str) -> PostgresSource:
    return PostgresSource(ServerConfig(name="main", dsn=SecretStr(dsn)))


async def error_of(dsn: str) -> str:
    one = source(dsn)
    try:
        async with asyncio.timeout(10):
            await one.poll()
    except PollError as error:
        return str(error)
    finally:
        await one.close()
    return ""


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


@pytest.mark.parametrize("name", ["passfile", "sslcert", "sslkey", "sslrootcert", "sslcrl"])
@pytest.mark.parametrize("given_by", ["dsn", "environment", "service"])
def test_a_pipe_in_place_of_a_file_fails_the_poll_and_is_named(
    postgres: Cluster, pipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    name: str, given_by: str,
) -> None:  # fmt: skip
    dsn = postgres.dsn()
    if given_by == "dsn":
        dsn += f" {name}={pipe}"
    elif given_by == "environment":
        monkeypatch.setenv(f"PG{name.upper()}", str(pipe))
    else:
        services = tmp_path / "services"
        services.write_text(f"[other]\nhost=nowhere\n[shop]\n# of the shop\n{name}={pipe}\n")
        monkeypatch.setenv("PGSERVICEFILE", str(services))
        dsn += " service=shop"
    message = asyncio.run(error_of(dsn))
    assert f"{name} {pipe}" in message
    assert "pipe" in message


@pytest.mark.parametrize("by_environment", [True, False])
@pytest.mark.parametrize("of_system", [True, False])
def test_a_pipe_in_place_of_the_service_file_fails_the_poll(
    pipe: Path, monkeypatch: pytest.MonkeyPatch, by_environment: bool, of_system: bool
) -> None:
    if of_system:
        pipe = pipe.rename(pipe.with_name("pg_service.conf"))
        monkeypatch.setenv("PGSYSCONFDIR", str(pipe.parent))
    else:
        monkeypatch.setenv("PGSERVICEFILE", str(pipe))
    if by_environment:
        monkeypatch.setenv("PGSERVICE", "shop")
    assert str(pipe) in asyncio.run(error_of("dbname=postgres" if by_environment else "service=x"))


def test_a_service_is_used_and_what_the_dsn_has_wins(
    postgres: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = tmp_path / "services"
    services.write_text(
        f"[shop] # of the shop\nhost=127.0.0.1\nport={postgres.port}\nuser=postgres\n"
        "dbname=nowhere\ndbname=other\n[z]\nport=1\n"
    )
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    assert asyncio.run(error_of("service=shop dbname=postgres")) == ""
    assert "nowhere" in asyncio.run(error_of("service=shop"))
    assert "other" in asyncio.run(error_of("service=other"))


@pytest.mark.parametrize("by_environment", [True, False])
def test_a_service_that_only_libpq_finds_keeps_its_requirements(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_environment: bool
) -> None:
    """As in the directory of its installation. Parameters would win over those of the service."""
    services = tmp_path / "services"
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    monkeypatch.setattr(libpq_files, "_service_files", lambda: ())
    if by_environment:
        monkeypatch.setenv("PGSERVICE", "shop")
    sent: list[bytes] = []

    async def impostor(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        writer.write(message(b"R", struct.pack("!i", 3)))
        sent.append(await reader.read(1024))
        writer.close()

    async def main() -> str:
        async with await asyncio.start_server(impostor, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            services.write_text(
                f"[shop]\nhost=127.0.0.1\nport={port}\nuser=u\nsslmode=disable\n"
                "require_auth=scram-sha-256\n"
            )
            return await error_of("password=hunter2" + " service=shop" * (not by_environment))

    assert "require_auth" in asyncio.run(main())
    (received,) = sent
    assert b"hunter2" not in received


def test_devnull_and_missing_files_are_left_to_libpq(postgres: Cluster, tmp_path: Path) -> None:
    assert asyncio.run(error_of(f"{postgres.dsn()} passfile=/dev/null")) == ""
    missing = tmp_path / "missing"
    assert asyncio.run(error_of(f"{postgres.dsn()} passfile={missing} sslrootcert={missing}")) == ""


@pytest.mark.parametrize("code", [pytest.param(7, id="gss"), pytest.param(9, id="sspi")])
@pytest.mark.parametrize(
    ("given", "variable", "asked_for"),
    [
        ("", "", False),
        ("require_auth=''", "", False),
        ("require_auth=!password,!md5", "", False),
        ("require_auth=!gss", "!sspi", False),
        ("", "!sspi,!none", False),
        ("require_auth=gss,sspi", "", True),
    ],
)
def test_kerberos_credentials_are_read_only_where_they_are_asked_for(
    pipe: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    given: str,
    variable: str,
    asked_for: bool,
) -> None:
    """They are in /tmp, where any user of the host can put a pipe."""
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{pipe}")
    monkeypatch.setenv("PGREQUIREAUTH", variable)
    request = message(b"R", struct.pack("!i", code))

    async def login() -> None:
        async with lying_server([b""], request) as port:
            await error_of(f"host=127.0.0.1 user=u sslmode=disable {given} port={port}")

    ended = Event()
    with ThreadPoolExecutor() as threads:
        reading = threads.submit(is_read, pipe, ended)
        try:
            asyncio.run(login())
        finally:
            ended.set()
        assert reading.result() is asked_for


def is_read(pipe: Path, ended: Event) -> bool:
    """Whether anybody reads a pipe before the end; such a reader is let go at once."""
    found = False
    while not ended.wait(0.01):
        with suppress(OSError):
            os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
            found = True
    return found
