"""Records as PostgreSQL writes them, in each format of its log."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable

from pg_pool_exporter.sources.server_log.book import Form
from pg_pool_exporter.sources.server_log.layouts import Format
from pg_pool_exporter.sources.server_log.parser import LogParser
from pg_pool_exporter.sources.server_log.phrases import texts

FORMATS: tuple[Format, ...] = ("stderr", "csvlog", "jsonlog")
PREFIX = "%m [%p] %q%u@%d %e "
TIME = "2026-11-24 10:00:00.123 UTC"


def parser_of(form: Format, prefix: str = PREFIX, spoken: Iterable[str] | None = ()) -> LogParser:
    """A parser of English texts, or of more languages; None is all."""
    languages = None if spoken is None else tuple(spoken)
    return LogParser(Form(form, prefix, languages).layout(), texts(languages))


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


def seen(parser: LogParser) -> dict[tuple[str, str, str | None], int]:
    """What a parser has counted: family, value and database of each event, and how often."""
    found: Counter[tuple[str, str, str | None]] = Counter()
    for (event, raw), count in parser.tally.items():
        found[event.family, event.value, parser.database(raw)] += count
    return dict(found)


def counted(
    form: Format, data: bytes, *, prefix: str = PREFIX, spoken: Iterable[str] | None = ()
) -> dict[tuple[str, str, str | None], int]:
    """What is counted in a log."""
    parser = parser_of(form, prefix, spoken)
    parser.feed(data)
    return seen(parser)
