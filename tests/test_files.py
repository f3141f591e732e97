"""Reading of files: what is no file, or hangs, delays its reader alone and is named."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pg_pool_exporter.blocking import files, secrets
from pg_pool_exporter.blocking.files import FileError
from pg_pool_exporter.blocking.secrets import PasswordError, read_password_file, run_command
from support.busy import within
from support.polling import eventually

DEADLINE = 0.2


@pytest.fixture
def hung(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A file system that hangs: files below a directory `hung` can't be opened until it is set."""
    goes_on = threading.Event()
    real = os.open

    def opening(path: str | Path, *args: int, **options: int) -> int:
        if "/hung/" in str(path):
            goes_on.wait(10)
        return real(path, *args, **options)

    monkeypatch.setattr(os, "open", opening)
    for module in (files, secrets):
        monkeypatch.setattr(module, "SECONDS", DEADLINE)
    yield goes_on
    goes_on.set()


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    started = time.monotonic()
    for path in (tmp_path / "pipe", tmp_path, "/dev/zero"):
        with pytest.raises(FileError, match="not a regular file"):
            files.read(path, 10)
    for path in (tmp_path / "missing", "a\0b"):
        with pytest.raises(FileError, match="cannot be read"):
            files.read(path, 10)
    assert time.monotonic() - started < within(1)


def test_the_size_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 2048)
    assert len(files.read(path, 2048)) == 2048
    with pytest.raises(FileError, match="larger than 1 KiB"):
        files.read(path, 1024)


def test_reads_of_one_file_at_the_same_time_keep_their_own_bounds(
    tmp_path: Path, hung: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "SECONDS", 10.0)
    path = tmp_path / "hung" / "file"
    path.parent.mkdir()
    path.write_bytes(b"x" * 2048)
    with ThreadPoolExecutor() as threads:
        reads = [threads.submit(files.read, path, most) for most in (2048, 1024)]
        end = time.monotonic() + 5
        while len(files.hung()) < len(reads) and time.monotonic() < end:
            time.sleep(0.01)
        hung.set()
        assert len(reads[0].result()) == 2048
        with pytest.raises(FileError, match="larger than 1 KiB"):
            reads[1].result()


def test_a_file_that_hangs_is_given_up_and_others_are_read(
    tmp_path: Path, hung: threading.Event
) -> None:
    (tmp_path / "hung").mkdir()
    for name in ("hung/a", "b"):
        (tmp_path / name).write_text(name)
    for _ in range(3):
        with pytest.raises(FileError, match="cannot be read within"):
            files.read(tmp_path / "hung/a", 100)
        assert files.read(tmp_path / "b", 100) == b"b"
    assert files.hung() == (str(tmp_path / "hung/a"),)
    hung.set()
    assert files.read(tmp_path / "hung/a", 100) == b"hung/a"


def test_a_password_file_that_hangs_holds_up_no_other(
    tmp_path: Path, hung: threading.Event
) -> None:
    (tmp_path / "hung").mkdir()
    for name in ("hung/a", "b"):
        (tmp_path / name).write_text(name)

    async def main() -> None:
        slow = [asyncio.create_task(read_password_file(tmp_path / "hung/a")) for _ in range(100)]
        await asyncio.sleep(0)
        assert await read_password_file(tmp_path / "b") == "b"
        for outcome in await asyncio.gather(*slow, return_exceptions=True):
            assert isinstance(outcome, PasswordError)
            assert str(tmp_path / "hung/a") in str(outcome)

    asyncio.run(main())


def test_secrets_are_read_as_kubernetes_mounts_them(tmp_path: Path) -> None:
    """A link to a file in a directory that is a link itself, replaced as a whole."""
    for version in ("..2024", "..2025"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "password").write_text(version)
    (tmp_path / "..data").symlink_to("..2024")
    (tmp_path / "password").symlink_to("..data/password")
    assert files.content(tmp_path / "password", 100, secret=True) == b"..2024"
    (tmp_path / "..new").symlink_to("..2025")
    (tmp_path / "..new").rename(tmp_path / "..data")
    assert files.content(tmp_path / "password", 100, secret=True) == b"..2025"
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(FileError, match="cannot be read"):
        files.content(tmp_path / "loop", 100, secret=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make another user's link")
def test_a_secret_is_not_read_through_the_link_of_another_user(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("ours")
    (tmp_path / "link").symlink_to("key")
    os.chown(tmp_path / "link", 12345, 12345, follow_symlinks=False)
    assert files.content(tmp_path / "link", 100) == b"ours"
    with pytest.raises(FileError, match="symbolic link of another user"):
        files.content(tmp_path / "link", 100, secret=True)


def test_the_mode_of_a_file_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.touch(0o640)
    path.chmod(0o640)
    assert files.mode(path) == stat.S_IFREG | 0o640
    assert files.mode(tmp_path / "missing") == 0


def test_a_password_command_gets_a_small_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_POOL_EXPORTER_DSN", "postgresql://u:hunter2@db/")
    monkeypatch.setenv("PGPASSWORD", "hunter2")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    script = "import os; print(' '.join(sorted(os.environ)))"
    seen = asyncio.run(run_command((sys.executable, "-c", script))).split()
    assert {"PATH", "HOME", "AWS_REGION"} <= {*seen}
    assert not {"PG_POOL_EXPORTER_DSN", "PGPASSWORD"} & {*seen}


def test_a_password_command_signals_no_group_after_its_process_was_reaped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By then the number may be another group's."""
    signalled: list[int] = []
    monkeypatch.setattr(os, "killpg", lambda group, _number: signalled.append(group))
    for script in ("echo secret", "exit 3", "exec 1>&-; sleep 0.2; exit 3"):
        try:
            asyncio.run(run_command(("/bin/sh", "-c", script)))
        except PasswordError:
            continue
    assert signalled == []


def test_a_password_command_that_was_cancelled_before_its_turn_never_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[str] = []
    goes_on = threading.Event()

    def hanging(command: tuple[str, ...], **_options: object) -> None:
        started.append(command[0])
        goes_on.wait(10)
        raise FileNotFoundError(2, "No such file or directory")

    async def main() -> None:
        hung = [asyncio.create_task(run_command(("hung",))) for _ in range(32)]
        await eventually(lambda: len(started) == len(hung))
        late = asyncio.create_task(run_command(("late",)))
        await asyncio.sleep(0.01)
        late.cancel()
        await asyncio.wait({late})
        goes_on.set()
        await asyncio.gather(*hung, return_exceptions=True)
        with pytest.raises(PasswordError):
            await run_command(("next",))

    monkeypatch.setattr(secrets, "Popen", hanging)
    asyncio.run(main())
    assert started == ["hung"] * 32 + ["next"]


def test_the_process_ends_while_a_password_command_cannot_be_started() -> None:
    program = """
import asyncio, threading
from pg_pool_exporter.blocking import secrets
secrets.Popen = lambda *args, **options: threading.Event().wait()
async def main():
    try:
        async with asyncio.timeout(0.1):
            await secrets.run_command(["token"])
    except TimeoutError:
        print("timed out")
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True
    )
    assert done.stdout == "timed out\n"
