"""Where the password comes from, and that it goes nowhere else."""

from __future__ import annotations

import asyncio
import stat
import sys
import time
from pathlib import Path

import psycopg
import pytest

from pg_pool_exporter.blocking.secrets import PasswordError, run_command
from pg_pool_exporter.sources.connection.errors import explain
from support.busy import within
from support.polling import SECRET, eventually, failure, outcome, run, source_of
from support.postgres import Cluster


def test_a_password_file_is_read_again_for_each_connection(locked: Cluster, tmp_path: Path) -> None:
    async def main() -> None:
        file = tmp_path / "password"
        file.write_text("outdated\n")
        dsn = locked.dsn(user="exporter")
        source = source_of(locked, dsn=dsn, password_file=str(file))
        error = await failure(source)
        assert error.reason == "auth"
        assert "outdated" not in str(error)
        file.write_text(SECRET + "\n")
        assert await outcome(source) == "up"
        await source.close()

    run(main())


@pytest.mark.parametrize(
    ("script", "found"),
    [
        (f"print('{SECRET}')", "up"),
        ("print('wrong')", "auth"),
        ("pass", "auth"),
        ("raise SystemExit(3)", "auth"),
        ("print('x' * 100_000)", "auth"),
    ],
)
def test_a_password_command_gives_the_password(locked: Cluster, script: str, found: str) -> None:
    async def main() -> None:
        source = source_of(
            locked,
            dsn=locked.dsn(user="exporter"),
            password_command=(sys.executable, "-c", script),
        )
        assert await outcome(source) == found
        await source.close()

    run(main())


def test_a_password_command_that_hangs_is_ended_once_then_waited_for_and_ended_at_close(
    locked: Cluster, tmp_path: Path
) -> None:
    async def main() -> None:
        started = tmp_path / "started"
        script = tmp_path / "command"
        script.write_text(f"#!/bin/sh\necho $$ >> {started}\nexec sleep 60\n")
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        source = source_of(locked, dsn=locked.dsn(user="exporter"), password_command=(str(script),))
        for deadline in (1, 1, 0.1, 0.1):
            assert await outcome(source, deadline) == "timeout"
        first, second = map(int, started.read_text().split())
        assert not running(first)
        assert running(second)
        await source.close()
        assert not running(second)

    run(main())


def test_a_password_command_with_children_is_ended_with_them_when_its_time_is_over() -> None:
    async def main() -> None:
        started = time.monotonic()
        with pytest.raises(PasswordError, match=r"not done within 0\.2 s"):
            await run_command(("/bin/sh", "-c", "sleep 60 & sleep 60"), seconds=0.2)
        assert time.monotonic() - started < within(2)

    run(main())


def test_what_a_password_command_leaves_behind_is_ended_too(tmp_path: Path) -> None:
    async def main() -> None:
        left = tmp_path / "left"
        command = ("/bin/sh", "-c", f"sleep 60 & echo $! > {left}; echo {SECRET}")
        with pytest.raises(PasswordError, match=r"not done within 1 s"):
            await run_command(command, seconds=1)
        await eventually(lambda: not running(int(left.read_text())))

    run(main())


def running(pid: int) -> bool:
    """Whether the process is there, and more than a name that nobody has asked after."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_server_that_sends_the_password_back_does_not_bring_it_into_the_log() -> None:
    async def impostor(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(b"R\0\0\0\x08\0\0\0\x03")  # asks for the password in clear text
        answer = await reader.read(1000)
        echo = b"SFATAL\0VFATAL\0CXX000\0Mno " + answer[5:-1] + b"\0\0"
        writer.write(b"E" + (len(echo) + 4).to_bytes(4, "big") + echo)
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(impostor, "127.0.0.1")
        port = server.sockets[0].getsockname()[1]
        dsn = f"host=127.0.0.1 port={port} user=u password={SECRET} sslmode=disable"
        error = await psycopg_error(dsn)
        assert SECRET in str(error), "the driver's own text has it"
        assert SECRET not in str(explain(error, "server main"))
        server.close()
        await server.wait_closed()

    run(main())


async def psycopg_error(dsn: str) -> psycopg.Error:
    try:
        await psycopg.AsyncConnection.connect(dsn)
    except psycopg.Error as error:
        return error
    raise AssertionError("it connected")
