"""The directory in which instrumented processes and the daemon find each other.

Both sides must agree without talking to each other, so the rule stands here once. The standard
library only, because the client imports it.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

SYSTEM_DIRECTORY = Path("/run/pg-pool-exporter")
SUFFIX = ".sock"
PAGE_PATH = "/metrics"
ENVIRONMENT = "PG_POOL_EXPORTER_SOCKET_DIR"


def default_directory() -> Path:
    """Where sockets are when nobody says otherwise.

    `$PG_POOL_EXPORTER_SOCKET_DIR`, else the system's directory where an administrator has made it
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
    return Path(tempfile.gettempdir()) / f"pg-pool-exporter-{os.getuid()}"


def make_directory(directory: Path) -> None:
    """Create `directory` for this user alone; check that it is a safe one.

    Raises `OSError` when it can't be made, and `PermissionError` when it is a symbolic link or
    belongs to somebody else than root or this user: in a world-writable place another user could
    have put it there.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = directory.lstat()
    if directory.is_symlink() or found.st_uid not in (0, os.getuid()):
        raise PermissionError(f"{directory} is a symbolic link or belongs to user {found.st_uid}")
