"""Sockets that systemd opens: the daemon serves on them."""

from __future__ import annotations

import shlex
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from support.postgres import wait_until
from support.programs import answers, exporter, running

EXPORTER = exporter("--web.systemd-socket", "--socket-dir=")
ACTIVATED = ["sh", "-c", f"LISTEN_FDS=1 LISTEN_PID=$$ exec {shlex.join(EXPORTER)} 3<&0"]
"""The command as systemd starts it, its standard input as descriptor 3."""


def refused(command: Sequence[str], stdin: int = subprocess.DEVNULL) -> str:
    """What the command says before it ends with an error."""
    done = subprocess.run(
        command, stdin=stdin, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


def test_it_serves_on_the_socket_that_was_passed(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/metrics"
        with running(ACTIVATED, log=tmp_path / "log", stdin=listener.fileno()):
            wait_until(lambda: answers(url), "it answers")


def test_without_a_socket_it_says_what_is_missing() -> None:
    assert "systemd has passed no socket" in refused(EXPORTER)


def test_sockets_of_another_process_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_FDS", "1")
    monkeypatch.setenv("LISTEN_PID", "1")
    assert "systemd has passed no socket" in refused(EXPORTER)


def test_a_socket_that_does_not_listen_is_refused() -> None:
    with socket.socket() as plain:
        message = refused(ACTIVATED, plain.fileno())
    assert "descriptor 3 is no TCP socket that listens" in message
