"""A process that obeys by its standard input: a line a command, each answered by a line."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Timer
from typing import Self

_ANSWER_SECONDS = 60
_END_SECONDS = 10


class ObedientProcess:
    """Runs `command` in `directory`; its standard error goes to `log`. A context manager.

    It prints `ready` once it has begun, and ends with its input. Other lines that libraries print
    are ignored.
    """

    def __init__(
        self,
        command: Sequence[str],
        directory: Path,
        environment: Mapping[str, str],
        log: Path,
    ) -> None:
        self._command = command
        self._directory = directory
        self._environment = environment
        self._log = log

    def __enter__(self) -> Self:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self._directory, env={**os.environ, **self._environment},
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        try:
            self._answer("ready")
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self._end()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def send(self, command: str) -> str:
        """Its answer to a command: `done`, or `failed` and why."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        return self._answer("done", "failed")

    def _answer(self, *beginnings: str) -> str:
        assert self._process.stdout is not None
        timer = Timer(_ANSWER_SECONDS, self._process.kill)
        timer.start()
        try:
            for line in self._process.stdout:
                if line.startswith(beginnings):
                    return line.rstrip()
        finally:
            timer.cancel()
        raise AssertionError(f"the process has ended:\n{self._log.read_text()}")

    def _end(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(_END_SECONDS)
        finally:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()
