"""Processes on this host: what becomes of a socket whose process hangs, ends or is replaced."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from time import monotonic

import pytest

from pg_pool_exporter.client.serving.listeners import SocketListener
from pg_pool_exporter.client.serving.slots import Slot
from pg_pool_exporter.model import Snapshot
from pg_pool_exporter.sources.base import PollError, TargetGoneError
from pg_pool_exporter.sources.pages.socket_file import SocketFile
from pg_pool_exporter.sources.pages.socket_source import AppOwners, SocketSource
from support import pages
from support.busy import within
from support.pages import serving


def closed_socket(path: Path) -> SocketFile:
    """What a process leaves behind that is killed."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    file = SocketFile.at(path)
    assert file is not None
    return file


def poll_socket(file: SocketFile) -> Snapshot:
    """One poll of the process at `file`."""

    async def scenario() -> Snapshot:
        source = SocketSource(file, AppOwners())
        try:
            return await source.poll()
        finally:
            await source.close()

    return asyncio.run(scenario())


def test_an_instrumented_process_is_read_until_it_closes_its_socket(tmp_path: Path) -> None:
    listener = SocketListener(lambda: pages.good_page().decode(), Slot(tmp_path, "orders"))
    listener.start()
    path = tmp_path / "orders-0.sock"
    deadline = monotonic() + 5
    while (file := SocketFile.at(path)) is None:
        assert monotonic() < deadline
    assert poll_socket(file).pools == (pages.pool(),)
    listener.close()
    with pytest.raises(TargetGoneError):
        poll_socket(file)


def test_the_socket_of_a_killed_process_is_removed_and_the_target_gone(tmp_path: Path) -> None:
    file = closed_socket(tmp_path / "orders-0.sock")
    with pytest.raises(TargetGoneError):
        poll_socket(file)
    assert not file.path.exists()


def test_a_socket_that_was_removed_is_gone(tmp_path: Path) -> None:
    file = closed_socket(tmp_path / "orders-0.sock")
    file.path.unlink()
    with pytest.raises(TargetGoneError):
        poll_socket(file)


def test_the_socket_of_a_successor_is_left_alone(tmp_path: Path) -> None:
    old = closed_socket(tmp_path / "orders-0.sock")
    old.path.unlink()
    closed_socket(old.path)
    with pytest.raises(TargetGoneError):
        poll_socket(old)
    assert old.path.exists()


def test_a_symbolic_link_is_not_opened_even_if_it_leads_to_a_good_socket(tmp_path: Path) -> None:
    async def scenario() -> int:
        async with serving(pages.good, tmp_path / "real.sock") as served:
            link = tmp_path / "orders-0.sock"
            link.symlink_to(tmp_path / "real.sock")
            assert SocketFile.at(link) is None
            found = link.lstat()
            file = SocketFile(link, found.st_dev, found.st_ino, found.st_mtime_ns, found.st_uid)
            source = SocketSource(file, AppOwners())
            with pytest.raises(TargetGoneError):
                await source.poll()
            await source.close()
            assert link.is_symlink()
            return len(served.peers)

    assert asyncio.run(scenario()) == 0


def test_a_socket_that_cannot_be_removed_fails_as_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = closed_socket(tmp_path / "orders-0.sock")

    def not_permitted(self: Path, *, missing_ok: bool = False) -> None:
        raise PermissionError(1, os.strerror(1))

    monkeypatch.setattr(Path, "unlink", not_permitted)
    with pytest.raises(PollError, match="its socket stays") as caught:
        poll_socket(file)
    assert caught.value.reason == "refused"


def test_a_process_that_accepts_no_connection_any_more_fails(tmp_path: Path) -> None:
    """A stopped process whose queue of connections is full: alive, so its socket stays."""
    path = tmp_path / "orders-0.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen(0)
        file = SocketFile.at(path)
        assert file is not None

        async def scenario() -> list[str]:
            source = SocketSource(file, AppOwners())
            reasons: list[str] = []
            for _ in range(4):
                try:
                    async with asyncio.timeout(0.2):
                        await source.poll()
                except TimeoutError:
                    reasons.append("deadline")
                except PollError as error:
                    reasons.append(error.reason)
            await source.close()
            return reasons

        assert asyncio.run(scenario()) == ["deadline", *["timeout"] * 3]
    assert path.exists()


def test_a_path_too_long_for_a_socket_does_not_remove_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / ("long" * 30)
    directory.mkdir()
    monkeypatch.chdir(directory)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind("x.sock")
    file = SocketFile.at(directory / "x.sock")
    assert file is not None
    with pytest.raises(PollError, match="not connected"):
        poll_socket(file)
    assert file.path.exists()


def test_the_name_of_an_application_belongs_to_the_user_who_had_it_first(tmp_path: Path) -> None:
    mine, theirs = (SocketFile(tmp_path / f"{user}.sock", 1, user, 1, user) for user in (1, 2))
    owners = AppOwners()
    assert owners.claim(mine, {"orders", "mail"}) is None
    assert owners.claim(theirs, {"billing"}) is None
    assert owners.claim(theirs, {"billing", "orders"}) == 1
    assert owners.claim(mine, {"billing"}) == 2
    assert owners.claim(mine, {"orders"}) is None
    assert owners.claim(theirs, {"mail"}) is None, "nobody has it any more"
    owners.release(mine)
    assert owners.claim(theirs, {"orders"}) is None


def test_many_names_of_one_process_cost_the_others_nothing(tmp_path: Path) -> None:
    sockets = [SocketFile(tmp_path / f"{at}.sock", 1, at, 1, 1) for at in range(1000)]
    owners = AppOwners()
    started = monotonic()
    for _ in range(2):
        for at, file in enumerate(sockets):
            assert owners.claim(file, {f"{at}-{app}" for app in range(100)}) is None
    assert monotonic() - started < within(2)


def test_a_process_of_another_user_cannot_take_an_application_s_name(tmp_path: Path) -> None:
    async def scenario() -> None:
        owners = AppOwners()
        async with (
            serving(pages.good, tmp_path / "a-0.sock") as first,
            serving(pages.good, tmp_path / "a-1.sock") as second,
        ):
            assert first.socket is not None
            assert second.socket is not None
            mine, other = SocketFile.at(first.socket), SocketFile.at(second.socket)
            assert mine is not None
            assert other is not None
            owners.claim(mine._replace(user=other.user + 1), {"orders"})
            source = SocketSource(other, owners)
            with pytest.raises(PollError) as caught:
                await source.poll()
            assert caught.value.reason == "permission"
            owners.release(mine._replace(user=other.user + 1))
            assert (await source.poll()).pools
            await source.close()

    asyncio.run(scenario())
