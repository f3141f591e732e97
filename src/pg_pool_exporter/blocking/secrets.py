"""Passwords that are read anew for each connection, because tokens expire."""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from pathlib import Path

MOST_BYTES = 65_536
COMMAND_SECONDS = 30.0


class PasswordError(Exception):
    """No password could be had. The message holds nothing of the file or of the output."""


def read_file(path: str | Path, key: str = "password_file") -> str:
    """The content of the file without its last line end. Raises `PasswordError`.

    `key` is the configuration's that names the file.
    """
    try:
        # Without O_NONBLOCK a named pipe that nobody writes into would hold up everything.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            content = os.read(descriptor, MOST_BYTES + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise PasswordError(f"{key}: {error.strerror}") from None
    return _password(content, key)


async def run_command(command: Sequence[str], seconds: float = COMMAND_SECONDS) -> str:
    """The output of the command, run without a shell, without its last line end.

    Raises `PasswordError` when it fails, says nothing or too much, or takes more than `seconds`.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=DEVNULL,
            limit=MOST_BYTES,
            start_new_session=True,
        )
    except OSError as error:
        raise PasswordError(f"password_command: {error.strerror}") from None
    try:
        async with asyncio.timeout(seconds):
            content = await _output(process)
            status = await process.wait()
    except TimeoutError:
        raise PasswordError(f"password_command: not done within {seconds:g} s") from None
    finally:
        await _end(process)
    if status != 0:
        raise PasswordError(f"password_command: exit status {status}")
    return _password(content, "password_command")


async def _output(process: Process) -> bytes:
    assert process.stdout is not None
    try:
        return await process.stdout.readexactly(MOST_BYTES + 1)
    except asyncio.IncompleteReadError as all_of_it:
        return all_of_it.partial


async def _end(process: Process) -> None:
    # The whole group, though the command may have ended: a grandchild would keep the pipe open.
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # nobody is left
    await process.wait()


def _password(content: bytes, source: str) -> str:
    if len(content) > MOST_BYTES:
        raise PasswordError(f"{source}: more than {MOST_BYTES} bytes")
    try:
        password = content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise PasswordError(f"{source}: not UTF-8") from None
    if not password or "\0" in password:
        raise PasswordError(f"{source}: empty, or no text")
    return password
