"""The number by which a process is known on its host."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pg_pool_exporter.client.serving.slots import Slot

# The lock belongs to a process, so a second holder must be another process.
_HOLDER = """
import sys
from pathlib import Path
from pg_pool_exporter.client.serving.slots import Slot
slot = Slot(Path(sys.argv[1]), sys.argv[2])
slot.take()
print(slot.number, flush=True)
sys.stdin.read()
"""


class Holder:
    """Another process of the application, that holds a slot until it is killed."""

    def __init__(self, directory: Path, app: str = "orders") -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _HOLDER, str(directory), app],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        self.number = int(self._process.stdout.readline())

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


def test_processes_take_the_lowest_free_number_and_a_killed_ones_successor_takes_its_number(
    tmp_path: Path,
) -> None:
    holders = [Holder(tmp_path) for _ in range(2)]
    try:
        assert [one.number for one in holders] == [0, 1]
        own = Slot(tmp_path, "orders")
        assert own.take() == tmp_path / "orders-2.sock"
        own.release()
        holders[0].kill()
        assert own.take() == tmp_path / "orders-0.sock"
        own.release()
    finally:
        for one in holders:
            one.kill()


def test_applications_dont_share_numbers(tmp_path: Path) -> None:
    slots = [Slot(tmp_path, app) for app in ("orders", "billing", "orders/eu", "orders_eu", "")]
    paths = [slot.take() for slot in slots]
    assert [slot.number for slot in slots] == [0] * len(slots)
    assert len({path.name for path in paths}) == len(paths)
    for slot in slots:
        slot.release()


@pytest.mark.parametrize("app", ["../../etc/x", "a/b", ".hidden", "x" * 500, "naïve\n", "\udc80"])
def test_no_name_of_an_application_leads_out_of_the_directory(tmp_path: Path, app: str) -> None:
    slot = Slot(tmp_path, app)
    path = slot.take()
    assert path.parent == tmp_path
    assert path.name.isascii()
    assert len(path.name) < 60
    assert not path.name.startswith(".")
    slot.release()


def test_taking_again_keeps_the_number(tmp_path: Path) -> None:
    slot = Slot(tmp_path, "orders")
    assert slot.take() == slot.take()
    slot.release()


def test_a_process_whose_lock_file_was_removed_makes_room_for_the_one_that_came_after(
    tmp_path: Path,
) -> None:
    """Or both would move their sockets to the same path, again and again."""
    slot = Slot(tmp_path, "orders")
    slot.take()
    (tmp_path / "orders-0.lock").unlink()
    other = Holder(tmp_path)
    try:
        assert other.number == 0
        assert slot.take() == tmp_path / "orders-1.sock"
    finally:
        other.kill()
        slot.release()


def test_the_next_holder_may_be_another_users_process_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        slot = Slot(tmp_path, "orders")
        slot.take()
    finally:
        os.umask(before)
    assert (tmp_path / "orders-0.lock").stat().st_mode & 0o777 == 0o660
    slot.release()


def test_siblings_are_the_sockets_of_the_same_application_and_no_other(tmp_path: Path) -> None:
    slot = Slot(tmp_path, "orders")
    slot.take()
    for name in ("orders-0.sock", "orders-1.sock", "orders-12.sock", "orders-1.lock",
                 "orders-eu-1.sock", "orders-x.sock", "myorders-1.sock"):  # fmt: skip
        (tmp_path / name).touch()
    assert [path.name for path in slot.sibling_sockets()] == ["orders-1.sock", "orders-12.sock"]
    slot.release()


def test_a_directory_that_is_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(PermissionError, match="symbolic link"):
        Slot(tmp_path / "link", "orders").take()
    assert list((tmp_path / "real").iterdir()) == []


def test_a_lock_file_that_is_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "orders-0.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=r"symbolic|levels"):
        Slot(tmp_path, "orders").take()
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, 65534, 65534)
    with pytest.raises(PermissionError, match="belongs to"):
        Slot(theirs, "orders").take()
