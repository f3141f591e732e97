"""The number by which a process is known on its host."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import pg_pool_exporter
from pg_pool_exporter import sockets
from pg_pool_exporter.client.serving.slots import Slot
from support.users import let_others_enter

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


def run_as_nobody(script: str) -> str:
    """What a script prints that another user runs."""
    source = Path(pg_pool_exporter.__file__).parent.parent
    become = "import os, sys\nos.setgroups([])\nos.setgid(65534)\nos.setuid(65534)\n"
    # Imported before: another user may not be able to read our files.
    first = f"import sys\nsys.path.insert(0, {str(source)!r})\n"
    first += "import pg_pool_exporter.client.serving.slots\n"
    done = subprocess.run(
        [sys.executable, "-c", f"{first}{become}{script}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


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


def test_a_lock_is_for_its_user_alone(tmp_path: Path) -> None:
    """Another member of the directory's group could keep it locked."""
    slot = Slot(tmp_path, "orders")
    slot.take()
    assert (tmp_path / "orders-0.lock").stat().st_mode & 0o077 == 0
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


@pytest.mark.parametrize("name", ["orders-0.lock", "orders-0.sock"])
@pytest.mark.parametrize("kind", ["directory", "link", "fifo", "another user's"])
def test_what_stands_in_the_way_of_a_number_costs_only_the_number(
    tmp_path: Path, name: str, kind: str
) -> None:
    path = tmp_path / name
    if kind == "directory":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(tmp_path / "elsewhere")
    elif kind == "fifo":
        os.mkfifo(path)
    elif os.getuid() == 0:
        path.touch()
        os.chown(path, 65534, 65534)
    else:
        pytest.skip("only root can give a file away")
    slot = Slot(tmp_path, "orders")
    assert slot.take() == tmp_path / "orders-1.sock"
    assert not (tmp_path / "elsewhere").exists()
    slot.release()


def test_what_comes_to_stand_in_the_way_of_the_socket_costs_only_the_number(tmp_path: Path) -> None:
    slot = Slot(tmp_path, "orders")
    slot.take().mkdir()
    assert slot.take() == tmp_path / "orders-1.sock"
    slot.release()


def test_a_dead_socket_of_this_user_is_removed_and_no_other(tmp_path: Path) -> None:
    """In a sticky directory the daemon can't."""
    with socket.socket(socket.AF_UNIX) as dead, socket.socket(socket.AF_UNIX) as live:
        dead.bind(str(tmp_path / "orders-7.sock"))
        live.bind(str(tmp_path / "orders-8.sock"))
        live.listen(1)
        dead.close()
        (tmp_path / "orders-9.sock").touch()
        slot = Slot(tmp_path, "orders")
        slot.take()
        slot.remove_dead()
        slot.release()
    left = sorted(path.name for path in tmp_path.glob("*.sock"))
    assert left == ["orders-8.sock", "orders-9.sock"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_directory_that_cannot_be_written_is_named_with_the_user(tmp_path: Path) -> None:
    let_others_enter(tmp_path)
    done = run_as_nobody(
        f"from pg_pool_exporter.client.serving.slots import Slot\n"
        f"from pathlib import Path\n"
        f"try:\n    Slot(Path({str(tmp_path)!r}), 'orders').take()\n"
        f"except PermissionError as error:\n    print(error)\n"
    )
    assert "can't be written by user 65534" in done


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, 65534, 65534)
    with pytest.raises(PermissionError, match="belongs to"):
        Slot(theirs, "orders").take()


def test_a_directory_is_named_where_no_folder_can_be_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in a container with a read-only root: nobody can put a socket there."""

    def none() -> str:
        raise FileNotFoundError

    for name in ("PG_POOL_EXPORTER_SOCKET_DIR", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sockets, "SYSTEM_DIRECTORY", Path("/nowhere"))
    monkeypatch.setattr(tempfile, "gettempdir", none)
    assert sockets.default_directory() == Path(f"/tmp/pg-pool-exporter-{os.getuid()}")
