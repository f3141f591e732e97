"""Faults of sockets, of the files that the daemon reads and writes, and of the server's log."""

from __future__ import annotations

import os
import signal
import socket
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import psycopg

from bench.faults.case import Expected, fault
from bench.faults.stand import Stand
from support.busy import within

_SOCKETS, _CONFIG, _LISTS, _LOG = "Sockets", "Configuration", "Lists of targets", "Server log"

_Change = Callable[[Path], None]


def _remove(path: Path) -> None:
    path.unlink()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _unreadable(path: Path) -> None:
    path.chmod(0)


def _text(text: str) -> _Change:
    def change(path: Path) -> None:
        path.write_text(text)

    return change


_BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in pairwise("abcdefgh")
)
_CHANGES: dict[str, _Change] = {
    "missing": _remove,
    "a named pipe in its place": _pipe,
    "a directory in its place": _directory,
    "unreadable": _unreadable,
    "malformed YAML": _text("servers: [{"),
    "an unknown key": _text("nonsense: 1\n"),
    "a YAML bomb": _text(_BOMB),
}


def _changed(path: Path, change: _Change) -> Callable[[], None]:
    """Change a file; call what is returned to restore it."""
    text, mode = path.read_bytes(), path.stat().st_mode & 0o777
    change(path)

    def restore() -> None:
        if path.is_dir():
            path.rmdir()
        path.unlink(missing_ok=True)
        path.write_bytes(text)
        path.chmod(mode)

    return restore


def _file(
    kind: str,
    title: str,
    path: Callable[[Stand], Path],
    change: _Change,
    expected: Expected,
    then: Callable[[Stand], object] | None = None,
    restored: Callable[[Stand], object] | None = None,
) -> None:
    """A file that is changed, after which something happens, also when it is restored.

    `restored` waits for what no metric shows.
    """

    def generator(stand: Stand) -> Iterator[None]:
        restore = _changed(path(stand), change)
        if then is not None:
            then(stand)
        yield
        restore()
        if then is not None:
            then(stand)
        if restored is not None:
            restored(stand)

    fault(kind, title, expected)(generator)


def _reload(stand: Stand) -> None:
    stand.daemon.send_signal(signal.SIGHUP)


_NOT_LOADED = Expected(
    series="pg_pool_exporter_config_last_reload_successful",
    cause="exporter_impaired", check="exporter", log="configuration not loaded",
)  # fmt: skip
for _title, _change in _CHANGES.items():
    _file(_CONFIG, f"configuration {_title}, SIGHUP", lambda stand: stand.config, _change,
          _NOT_LOADED, _reload)  # fmt: skip
for _title, _change in _CHANGES.items():
    _file(_CONFIG, f"web configuration {_title}", lambda stand: stand.web_config, _change,
          Expected(series="pg_pool_exporter_web_config_last_reload_successful",
                   cause="exporter_impaired", log="web configuration not loaded"))  # fmt: skip
for _title in ("missing", "a named pipe in its place", "a directory in its place", "unreadable"):
    _file(_CONFIG, f"password file {_title}, at the next login",
          lambda stand: stand.password_file, _CHANGES[_title],
          Expected("server main", log="target down", cause="login_failed"),
          lambda stand: stand.end_own_sessions())  # fmt: skip
    _file(_CONFIG, f"token file {_title}", lambda stand: stand.token_file, _CHANGES[_title],
          Expected("app billing", log="target down", cause="login_failed"))  # fmt: skip

_LIST_FAILED = Expected(
    series='pg_pool_exporter_discovery_up{app="listed"',
    cause="exporter_impaired", log="target list failed",
)  # fmt: skip
for _title in (
    "a named pipe in its place",
    "a directory in its place",
    "unreadable",
    "malformed YAML",
    "a YAML bomb",
):
    _file(_LISTS, f"file {_title}", lambda stand: stand.list_file, _CHANGES[_title], _LIST_FAILED)


@fault(_LISTS, "HTTP list refused",
       Expected(series='pg_pool_exporter_discovery_up{app="called"',
                cause="exporter_impaired", log="target list failed"))  # fmt: skip
def _list_refused(stand: Stand) -> Iterator[None]:
    stand.list_page.shut()
    yield
    stand.list_page.open()


_STATE_NOT_SAVED = Expected(
    series="pg_pool_exporter_log_state_saved", cause="exporter_impaired", within=30
)


@fault(_LOG, "state directory cannot be written", _STATE_NOT_SAVED)
def _state(stand: Stand) -> Iterator[None]:
    stand.state.chmod(0o555)
    _log_an_error(stand)
    yield
    stand.state.chmod(0o755)


@fault(_LOG, "disk of the state directory full", _STATE_NOT_SAVED, needs="device")
def _disk_full(stand: Stand) -> Iterator[None]:
    # The kernel's own "no space left", where the new state would be written.
    device = stand.state / "log-main.new"
    os.mknod(device, 0o666 | stat.S_IFCHR, os.stat("/dev/full").st_rdev)  # noqa: PTH116
    _log_an_error(stand)
    yield
    device.unlink()
    _log_an_error(stand)


@fault(_LOG, "rotated: what is logged then is counted")
def _rotated(stand: Stand) -> Iterator[None]:
    rotated = stand.log_directory / "server.log.1"
    stand.log_file.rename(rotated)
    stand.cluster.run("SELECT pg_rotate_logfile()")
    _must_be_counted(stand)
    yield
    rotated.unlink()


@fault(_LOG, "log_line_prefix changed: what is logged then is counted")
def _prefix(stand: Stand) -> Iterator[None]:
    stand.cluster.run("ALTER SYSTEM SET log_line_prefix = '%t %d [%p] '")
    stand.cluster.run("SELECT pg_reload_conf()")
    try:
        _must_be_counted(stand)
        yield
    finally:
        stand.cluster.run("ALTER SYSTEM RESET log_line_prefix")
        stand.cluster.run("SELECT pg_reload_conf()")


def _must_be_counted(stand: Stand) -> None:
    """A statement timeout that is logged from now on. The daemon may learn later how it is."""
    before = _timeouts(stand)
    end = time.monotonic() + within(20)
    while _timeouts(stand) == before:
        assert time.monotonic() < end, "a statement timeout is not counted"
        with suppress(psycopg.errors.QueryCanceled), stand.cluster.connect() as session:
            session.execute("SET statement_timeout = 1")
            session.execute("SELECT pg_sleep(5)")
        time.sleep(0.5)


def _timeouts(stand: Stand) -> float:
    start = "pg_server_timeouts_total{"
    series = stand.scrape().series.items()
    return sum(value for name, value in series if name.startswith(start) and "statement" in name)


@fault(_LOG, "file gone", Expected("log main", log="target down", cause="target_unreachable"))
def _log_gone(stand: Stand) -> Iterator[None]:
    away = stand.directory / "away"
    stand.log_file.rename(away)
    yield
    away.rename(stand.log_file)


@fault(_LOG, "unreadable", Expected("log main", "permission", cause="target_unreachable"))
def _log_unreadable(stand: Stand) -> Iterator[None]:
    mode = stand.log_directory.stat().st_mode & 0o777
    stand.log_directory.chmod(0)
    yield
    stand.log_directory.chmod(mode)


@fault(_LOG, "truncated")
def _truncated(stand: Stand) -> Iterator[None]:
    os.truncate(stand.log_file, 0)
    yield


@fault(_LOG, "lines wrapped in an unknown format",
       Expected("log main", "not_understood", log="are no records", cause="log_not_understood",
                check="targets"))  # fmt: skip
def _wrapped(stand: Stand) -> Iterator[None]:
    # A log that had records before counts as not understood after 1,000 lines without one.
    with stand.log_file.open("a") as file:
        file.writelines(f"<13>1 host postgres {number} ERROR\n" for number in range(1500))
    yield
    _log_an_error(stand)


def _log_an_error(stand: Stand) -> None:
    with suppress(psycopg.Error):
        stand.cluster.run("SELECT 1/0")


def _socket(stand: Stand, name: str) -> socket.socket:
    own = socket.socket(socket.AF_UNIX)
    own.bind(str(stand.sockets / name))
    return own


@fault(_SOCKETS, "a dead one is removed", Expected(log="dead sockets removed"))
def _dead(stand: Stand) -> Iterator[None]:
    _socket(stand, "dead-0.sock").close()
    yield
    assert not (stand.sockets / "dead-0.sock").exists()


@fault(_SOCKETS, "1,000 dead ones, one live", Expected(log="dead sockets removed"))
def _many_dead(stand: Stand) -> Iterator[None]:
    for number in range(1000):
        _socket(stand, f"dead-{number}.sock").close()
    yield


@fault(_SOCKETS, "a directory in its place")
def _socket_directory(stand: Stand) -> Iterator[None]:
    path = stand.sockets / "strange.sock"
    path.mkdir()
    yield
    path.rmdir()


@fault(_SOCKETS, "a symbolic link to one is not followed")
def _link(stand: Stand) -> Iterator[None]:
    path = stand.sockets / "link.sock"
    path.symlink_to(next(stand.sockets.glob("orders-*.sock")))
    yield
    assert not any('target="link' in name for name in stand.scrape().series), "it is followed"
    path.unlink()


@fault(_SOCKETS, "hostile names")
def _hostile(stand: Stand) -> Iterator[None]:
    names = (b"a\nb-0.sock", b'q"uote-0.sock', b"\xff-0.sock", b"..-0.sock", b"\x1b[2J-0.sock")
    listeners = []
    for name in names:
        one = socket.socket(socket.AF_UNIX)
        one.bind(os.fsencode(stand.sockets) + b"/" + name)
        listeners.append(one)
    yield
    stand.scrape()  # raises where a line is not valid
    for name in names:
        with_path = os.fsencode(stand.sockets) + b"/" + name
        if os.path.exists(with_path):  # noqa: PTH110 - a name that is no text
            os.unlink(with_path)  # noqa: PTH108 - the same
    for one in listeners:
        one.close()


def _directory_unusable(log: str) -> Expected:
    return Expected(
        series="pg_pool_exporter_socket_directory_up", cause="exporter_impaired", log=log
    )


@fault(_SOCKETS, "directory unreadable", _directory_unusable("socket directory not read"))
def _unreadable_directory(stand: Stand) -> Iterator[None]:
    stand.sockets.chmod(0)
    yield
    stand.sockets.chmod(0o700)


@fault(
    _SOCKETS, "directory writable by everybody", _directory_unusable("can be written by everybody")
)
def _open_directory(stand: Stand) -> Iterator[None]:
    stand.sockets.chmod(0o777)
    yield
    stand.sockets.chmod(0o700)


@fault(_SOCKETS, "process stopped (SIGSTOP)",
       Expected("process orders", "timeout", cause="target_unreachable",
                check="targets"))  # fmt: skip
def _stopped_process(stand: Stand) -> Iterator[None]:
    stand.app.send_signal(signal.SIGSTOP)
    yield
    stand.app.send_signal(signal.SIGCONT)
