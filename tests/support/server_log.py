"""Records as PostgreSQL writes them, in each format of its log."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pg_pool_exporter.config import ServerConfig
from pg_pool_exporter.model import LogCounts, Snapshot
from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.server_log.context import ServerLogContext
from pg_pool_exporter.sources.server_log.counting.reader import LogReader
from pg_pool_exporter.sources.server_log.file_source import FileLogSource
from pg_pool_exporter.sources.server_log.format.layouts import Format
from pg_pool_exporter.sources.server_log.format.log_format import LogFormat
from pg_pool_exporter.sources.server_log.format.settings import LogSettings
from pg_pool_exporter.sources.server_log.positions.state import StateFile

FORMATS: tuple[Format, ...] = ("stderr", "csvlog", "jsonlog")
PREFIX = "%m [%p] %q%u@%d %e "
TIME = "2026-11-24 10:00:00.123 UTC"


def parser_of(
    form: Format,
    prefix: str = PREFIX,
    spoken: Iterable[str] | None = (),
    *,
    wrapping: str = "auto",
    is_fixed: bool = True,
    is_thorough: bool = False,
) -> LogReader:
    """A reader of English texts, or of more languages; None is all."""
    languages = None if spoken is None else tuple(spoken)
    form_of_log = LogFormat(form, prefix, languages, wrapping, is_fixed)
    return LogReader(form_of_log, is_thorough=is_thorough)


def record(
    form: Format,
    severity: str,
    message: str,
    *,
    code: str = "00000",
    database: str = "shop",
    user: str = "app",
    statement: str = "",
    detail: str = "",
    encoding: str = "utf-8",
) -> bytes:
    """One record, whole; of a session unless `database` is empty."""
    writers = {"stderr": _stderr, "csvlog": _csv, "jsonlog": _json}
    text = writers[form](severity, message, code, database, user, statement, detail)
    return text.encode(encoding, "surrogateescape")


def _stderr(
    severity: str, message: str, code: str, database: str, user: str, statement: str, detail: str
) -> str:
    session = f"{user}@{database} {code} " if database else ""
    head = f"{TIME} [4711] {session}"
    lines = [(severity, message), ("DETAIL", detail), ("STATEMENT", statement)]
    return "".join(
        f"{head}{name}:  {text}\n".replace("\n", "\n\t").removesuffix("\t")
        for name, text in lines
        if text
    )


def _csv(
    severity: str, message: str, code: str, database: str, user: str, statement: str, detail: str
) -> str:
    def quoted(text: str) -> str:
        return '"' + text.replace('"', '""') + '"' if text else ""

    fields = [
        TIME, quoted(user if database else ""), quoted(database), "4711",
        quoted("10.0.0.7:50000"), "65f0a1b2.1267", "3", quoted("SELECT"),
        "2026-11-24 09:59:00 UTC", "3/17", "0", severity, code, quoted(message),
        quoted(detail), "", "", "", "", quoted(statement), "", "", quoted("orders"),
        quoted("client backend"), "", "0",
    ]  # fmt: skip
    return ",".join(fields) + "\n"


def _json(
    severity: str, message: str, code: str, database: str, user: str, statement: str, detail: str
) -> str:
    fields = {
        "timestamp": TIME, "user": user if database else "", "dbname": database, "pid": 4711,
        "remote_host": "10.0.0.7", "remote_port": 50000, "session_id": "65f0a1b2.1267",
        "line_num": 3, "ps": "SELECT", "session_start": "2026-11-24 09:59:00 UTC", "vxid": "3/17",
        "txid": 0, "error_severity": severity, "state_code": code, "message": message,
        "detail": detail, "statement": statement, "application_name": "orders",
        "backend_type": "client backend", "query_id": 0,
    }  # fmt: skip
    present = {name: value for name, value in fields.items() if value != ""}
    if code == "00000":
        del present["state_code"]
    return json.dumps(present, ensure_ascii=False, separators=(",", ":")) + "\n"


def seen(parser: LogReader) -> dict[tuple[str, str, str | None], int]:
    """What a parser has counted: family, value and database of each event, and how often."""
    found: Counter[tuple[str, str, str | None]] = Counter()
    for (event, database), count in parser.take_tally().items():
        found[event.family, event.value, database] += count
    return dict(found)


def counted(
    form: Format, data: bytes, *, prefix: str = PREFIX, spoken: Iterable[str] | None = ()
) -> dict[tuple[str, str, str | None], int]:
    """What is counted in a log."""
    parser = parser_of(form, prefix, spoken)
    parser.feed(data)
    return seen(parser)


class Follower:
    """Polls the log files of a directory as the daemon does, and can be restarted.

    No server is needed: format and prefix are configured, or else the prefix is that of `SETTINGS`.
    """

    def __init__(
        self,
        directory: Path,
        *patterns: str,
        state: Path | None = None,
        form: Format | Literal["auto"] = "stderr",
        line_prefix: str | None = PREFIX,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        log = {
            "files": [str(directory / pattern) for pattern in patterns],
            "format": form,
            "interval": "10s",
            "timeout": "4s",
            **(
                {"line_prefix": line_prefix} if form == "stderr" and line_prefix is not None else {}
            ),
        }
        self.server = ServerConfig.model_validate(
            {"name": "main", "dsn": "host=127.0.0.1 port=1", "log": log}
        )
        self._state = StateFile(state, "main") if state is not None else None
        self._clock = clock
        # The server has been reached some time; so no poll waits for it.
        self._log_context = ServerLogContext()
        self._log_context.put_settings(SETTINGS)
        self.start()

    def start(self) -> None:
        """Begin as after a restart."""
        self.notes: tuple[str, ...] = ()
        self.source = FileLogSource(self.server, self._state, self._log_context, self._clock)

    def reconfigure(self, **settings: Any) -> None:
        """Change settings of the server."""
        self._log_context.put_settings(replace(SETTINGS, **settings))

    def poll(self) -> LogCounts:
        """Poll once. Raises `PollError`."""

        async def once() -> Snapshot:
            return await self.source.poll()

        snapshot = asyncio.run(once())
        assert snapshot.log is not None
        self.notes = snapshot.notes
        return snapshot.log

    def failure(self) -> PollError:
        """The error of a poll that fails."""
        try:
            self.poll()
        except PollError as error:
            return error
        raise AssertionError("the poll did not fail")

    def restart(self) -> None:
        """Stop in order, and begin again."""
        self.stop()
        self.start()

    def stop(self) -> None:
        """Close everything."""
        asyncio.run(self.source.close())


SETTINGS = LogSettings(
    line_prefix=PREFIX,
    formats=("stderr",),
    collector=False,
    opened=True,
    closed=True,
    errors=True,
    fatals=True,
    sessions=True,
    languages=("en",),
    databases=("postgres", "shop"),
    role="exporter",
)


def timeouts(counts: LogCounts) -> int:
    """Statement timeouts in the database shop."""
    return int(counts.timeouts["shop"]["statement"])


def event(form: Format = "stderr", number: int = 0) -> bytes:
    """A statement timeout in the database shop."""
    message = "canceling statement due to statement timeout"
    return record(form, "ERROR", message, code="57014", statement=f"SELECT {number}")
