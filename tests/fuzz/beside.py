"""What harnesses start beside what they check: an endpoint that answers, a log that is kept."""

from __future__ import annotations

import logging
import socket
from contextlib import suppress
from threading import Thread

_MOST_READ = 4000


class Endpoint:
    """Answers each connection to a listening socket with `answer`, and ends it."""

    def __init__(self, listening: socket.socket) -> None:
        self.answer = b""
        self._listening = listening
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                reader, _ = self._listening.accept()
            except OSError:
                return
            # The other end hangs up when it has read enough.
            with reader, suppress(OSError):
                reader.recv(_MOST_READ)
                reader.sendall(self.answer)

    def close(self) -> None:
        """Answer no more."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listening.close()


class Records(logging.Handler):
    """Keeps what is logged as an error: a traceback of ours."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))
