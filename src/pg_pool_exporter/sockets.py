"""The directory in which instrumented processes and the exporter find each other.

Both sides must agree without communication, so its rules are here once. The standard library only,
because the client imports it.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
import tempfile
from pathlib import Path

SYSTEM_DIRECTORY = Path("/run/pg-pool-exporter")
SUFFIX = ".sock"
PAGE_PATH = "/metrics"
ENVIRONMENT = "PG_POOL_EXPORTER_SOCKET_DIR"

_UCRED = struct.Struct("3i")  # pid, uid, gid


def default_directory() -> Path:
    """The directory of the sockets where no option names one.

    `$PG_POOL_EXPORTER_SOCKET_DIR`, else `/run/pg-pool-exporter` where an administrator has made it
    (tmpfiles.d), else one of the user's own: in the runtime directory, or where the system has
    none, in the directory for temporary files.
    """
    named = os.environ.get(ENVIRONMENT)
    if named:
        return Path(named)
    if os.access(SYSTEM_DIRECTORY, os.R_OK | os.W_OK | os.X_OK):
        return SYSTEM_DIRECTORY
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and os.access(runtime, os.W_OK | os.X_OK):
        return Path(runtime) / "pg-pool-exporter"
    return Path(_temporary()) / f"pg-pool-exporter-{os.getuid()}"


def _temporary() -> str:
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:
        return "/tmp"  # noqa: S108 - of a read-only file system: nothing can be put there


def make_directory(directory: Path) -> None:
    """Create `directory` for this user alone, and check it, see `check_directory`.

    Raises `OSError` when it can't be made, and `PermissionError` when it is unsafe.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_directory(directory)


def check_directory(directory: Path) -> None:
    """Raise `PermissionError` where an untrusted user controls `directory`.

    A safe one is a real directory, no symbolic link, and belongs to root or to this user. Where
    everybody may write into it, it has the sticky bit, so that nobody removes another's socket.
    Raises `FileNotFoundError` where there is none.
    """
    found = directory.lstat()
    if stat.S_ISLNK(found.st_mode):
        raise PermissionError(f"{directory} is a symbolic link: name the directory itself")
    if not stat.S_ISDIR(found.st_mode):
        raise PermissionError(f"{directory} is not a directory")
    if found.st_uid not in (0, os.geteuid()):
        raise PermissionError(
            f"{directory} belongs to user {found.st_uid}: it must belong to root or to this user "
            f"({os.geteuid()})"
        )
    if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
        raise PermissionError(
            f"{directory} can be written by everybody and has no sticky bit: chmod o-w or "
            "chmod +t; where neither is possible (a Kubernetes emptyDir), name a folder in it: "
            f"{ENVIRONMENT}={directory / 'pools'}"
        )


def peer_user(connected: socket.socket) -> int | None:
    """The user id of the process at the other end of a unix socket; None where unknown.

    Only Linux reports it (`SO_PEERCRED`).
    """
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    answer = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    return int(_UCRED.unpack(answer)[1])
