"""Passwords, read again for each connection, because tokens expire."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from select import POLLIN, poll
from subprocess import DEVNULL, PIPE, Popen, TimeoutExpired
from threading import Event

from pg_pool_exporter.blocking.files import SECONDS, FileError, content
from pg_pool_exporter.blocking.threads import Lane, LaneFullError

MAX_BYTES = 65_536
COMMAND_SECONDS = 30.0

# Variables that programs that fetch tokens commonly need. Others can hold secrets.
_PASSED_ON = frozenset(
    {
        "HOME", "HTTPS_PROXY", "HTTP_PROXY", "LANG", "LC_ALL", "LOGNAME", "NO_PROXY", "PATH",
        "SHELL", "SSL_CERT_DIR", "SSL_CERT_FILE", "TMPDIR", "TZ", "USER", "XDG_CACHE_HOME",
        "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "http_proxy", "https_proxy", "no_proxy",
    }
)  # fmt: skip
_PASSED_ON_PREFIXES = ("AWS_", "AZURE_", "CLOUDSDK_", "GOOGLE_", "KUBERNETES_", "VAULT_")
_TICK = 0.05
_GRACE = 1.0
_LANE = Lane("secrets", threads=32)
_COMMANDS = Lane("password-commands", threads=32)


class PasswordError(Exception):
    """No password. The message holds nothing of a file's content or of a command's output."""


async def read_password_file(path: str | Path) -> str:
    """`secret_text` in a thread, with a deadline."""
    read = partial(secret_text, path, "password_file")
    try:
        return await _LANE.run(read, key=str(path), seconds=SECONDS)
    except LaneFullError as error:
        raise PasswordError(f"password_file {path}: {error}") from None
    except TimeoutError:
        raise PasswordError(
            f"password_file {path}: cannot be read within {SECONDS:g} s: is its file system hung?"
        ) from None


def secret_text(path: str | Path, key: str) -> str:
    """The content of the file without its last line end, read in the calling thread.

    `key` is the configuration's that names the file. Raises `PasswordError`.
    """
    source = f"{key} {path}"
    try:
        return _password(content(path, MAX_BYTES, secret=True), source)
    except FileError as error:
        raise PasswordError(f"{source}: {error}") from None


async def run_command(command: Sequence[str], seconds: float = COMMAND_SECONDS) -> str:
    """The output of the command, run without a shell, without its last line end.

    Its environment is small: search path, home, locale, proxies, certificates, and the variables
    of the clouds' own tools. Raises `PasswordError` when it fails, prints nothing or too much, or
    takes more than `seconds`. A cancellation ends it.
    """
    given_up = Event()
    running = asyncio.ensure_future(_COMMANDS.run(partial(_output, command, seconds, given_up)))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        given_up.set()
        await asyncio.wait({running}, timeout=_GRACE)
        running.cancel()  # one that still waits for a thread must never start the command
        raise
    except LaneFullError as error:
        raise PasswordError(f"password_command: {error}") from None
    finally:
        if running.done() and not running.cancelled():
            running.exception()  # it may have no other reader


def _output(command: Sequence[str], seconds: float, given_up: Event) -> str:
    end = time.monotonic() + seconds

    def in_time() -> bool:
        return time.monotonic() < end and not given_up.is_set()

    try:
        # In this thread, because starting a program from a hung file system hangs.
        process = Popen(  # noqa: S603 - the administrator's own command
            command,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=DEVNULL,
            start_new_session=True,
            env=_environment(),
        )
    except OSError as error:
        raise PasswordError(f"password_command: {error.strerror}") from None
    assert process.stdout is not None
    with process.stdout:
        try:
            output = _read(process.stdout.fileno(), in_time)
            while len(output) <= MAX_BYTES and process.returncode is None and in_time():
                with suppress(TimeoutExpired):
                    process.wait(_TICK)
            if len(output) <= MAX_BYTES and process.returncode != 0:
                raise PasswordError(
                    f"password_command: not done within {seconds:g} s"
                    if process.returncode is None
                    else f"password_command: exit status {process.returncode}"
                )
        finally:
            _end(process)
    return _password(output, "password_command")


def _read(descriptor: int, in_time: Callable[[], bool]) -> bytes:
    """The output up to its end, one byte over the bound, or the deadline."""
    ready = poll()
    ready.register(descriptor, POLLIN)
    output = b""
    while len(output) <= MAX_BYTES and in_time():
        if ready.poll(_TICK * 1000):
            piece = os.read(descriptor, MAX_BYTES + 1 - len(output))
            if not piece:
                break
            output += piece
    return output


def _end(process: Popen[bytes]) -> None:
    # The whole group, because a grandchild may keep the pipe open. Only while the process is not
    # reaped: after that its number may be another group's.
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _environment() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if name in _PASSED_ON or name.startswith(_PASSED_ON_PREFIXES)
    }


def _password(content: bytes, source: str) -> str:
    if len(content) > MAX_BYTES:
        raise PasswordError(f"{source}: more than {MAX_BYTES} bytes")
    try:
        password = content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise PasswordError(f"{source}: not UTF-8") from None
    if not password or "\0" in password:
        raise PasswordError(f"{source}: empty, or not text")
    return password
