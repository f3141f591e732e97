"""Which socket directories are safe, and who is at the other end of a socket."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import pytest

from pg_pool_exporter.sockets import check_directory, make_directory, peer_user


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o2770, 0o3770, 0o1777])
def test_a_directory_of_our_own_is_safe(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    check_directory(tmp_path)


@pytest.mark.parametrize("mode", [0o777, 0o2777, 0o702])
def test_a_directory_that_everybody_may_write_needs_the_sticky_bit(
    tmp_path: Path, mode: int
) -> None:
    tmp_path.chmod(mode)
    with pytest.raises(PermissionError, match=r"chmod \+t"):
        check_directory(tmp_path)


def test_the_refusal_says_what_to_do_with_a_kubernetes_empty_dir(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    folder = tmp_path / "pools"
    with pytest.raises(PermissionError, match=re.escape(f"PG_POOL_EXPORTER_SOCKET_DIR={folder}")):
        check_directory(tmp_path)
    make_directory(folder)


def test_a_directory_that_is_made_is_for_this_user_alone(tmp_path: Path) -> None:
    made = tmp_path / "run" / "pools"
    make_directory(made)
    assert made.stat().st_mode & 0o7777 == 0o700
    make_directory(made)


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    for check in (check_directory, make_directory):
        with pytest.raises(PermissionError, match="symbolic link"):
            check(tmp_path / "link")


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PermissionError, match="not a directory"):
        check_directory(tmp_path / "file")


def test_a_missing_directory_is_reported_as_such(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        check_directory(tmp_path / "gone")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    with pytest.raises(PermissionError, match="belongs to user 65534"):
        check_directory(tmp_path)


def test_the_user_at_the_other_end_of_a_socket_is_known() -> None:
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        assert peer_user(one) == os.geteuid()
