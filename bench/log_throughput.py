"""How fast a server's log is counted: `python -m bench.log_throughput`, from the repository's root.

For each format, a log like a busy server's (sessions logged, slow statements, few errors), one of
nothing but sessions, and one that is dense with events; and the busy one as it is wrapped by
container runtimes, an operator and syslog. On each, in turns and with the file in the page cache:
the source that the exporter polls, in a process of its own; `grep -cE` of the same texts; and
pgBadger. Both need Debian's packages (grep is there always). `--megabytes 50 --rounds 1` is for a
quick look; `--without-automaton` measures an installation without the extra `logs`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from pg_pool_exporter.sources.server_log.format.layouts import Format
from support.server_log import FORMATS, PREFIX, record

PGBADGER = shutil.which("pgbadger")
# What is counted, as a person would look for it.
TEXTS = (
    "connection authorized: user=",
    "disconnection: session time: ",
    "canceling statement due to statement timeout",
    "canceling statement due to lock timeout",
    "canceling authentication due to timeout",
    "terminating connection due to idle-in-transaction timeout",
    "terminating connection due to idle-session timeout",
    "terminating connection due to transaction timeout",
    "sorry, too many clients already",
    "remaining connection slots are reserved",
    "too many connections for",
    "authentication failed for user",
)
_SELECT = (
    "SELECT o.id, o.total, c.name FROM orders o JOIN customers c ON c.id = o.customer_id "
    "WHERE o.created_at > $1 ORDER BY o.id DESC LIMIT 50"
)
_UPDATE = "UPDATE stock SET amount = amount - $1\n WHERE item = $2\n RETURNING amount, item"
_DATABASES = ("shop", "billing", "reports_2", "warehouse", "app_production")
# Written over and over until the file is long enough.
_SAMPLE_RECORDS = 40_000
_COLUMNS = ("log", "MB", "events", "ours MB/s", "grep MB/s", "/ grep", "pgBadger", "/ pgB.", "MiB")


class Measured(NamedTuple):
    """One run of ours."""

    seconds: float
    events: int
    memory: float
    """MiB of resident memory that reading took at most, above what the program needs anyway."""


def _session(form: Format, database: str) -> bytes:
    port = f"host=10.0.0.7 port={random.randint(30_000, 60_000)}"
    texts = (
        f"connection received: {port}",
        'connection authenticated: identity="app" method=scram-sha-256 (pg_hba.conf:97)',
        f"connection authorized: user=app database={database} application_name=orders",
        f"disconnection: session time: 0:00:01.234 user=app database={database} {port}",
    )
    return b"".join(record(form, "LOG", text, database=database) for text in texts)


def _busy(form: Format, database: str) -> bytes:
    """Of 100 records 5 sessions; of 1000 one error; the others are slow statements."""
    chance = random.random()
    if chance < 0.05:
        return _session(form, database)
    statement = random.choice((_SELECT, _UPDATE))
    if chance < 0.0505:
        return _timeout(form, database)
    if chance < 0.051:
        text = 'duplicate key value violates unique constraint "orders_pkey"'
        return record(
            form, "ERROR", text, code="23505", database=database, statement=statement,
            detail=f"Key (id)=({random.randint(1, 10**9)}) already exists.",
        )  # fmt: skip
    text = f"duration: {random.random() * 1000:.3f} ms  execute <unnamed>: {statement}"
    parameters = f"parameters: $1 = '{random.randint(1, 10**9)}', $2 = '{random.randint(1, 99)}'"
    return record(form, "LOG", text, database=database, detail=parameters)


def _timeout(form: Format, database: str) -> bytes:
    text = "canceling statement due to statement timeout"
    return record(form, "ERROR", text, code="57014", database=database, statement=_SELECT)


def _dense(form: Format, database: str) -> bytes:
    chance = random.random()
    if chance < 0.4:
        return _session(form, database)
    if chance < 0.8:
        return _timeout(form, database)
    if chance < 0.9:
        text = "terminating connection due to idle-in-transaction timeout"
        return record(form, "FATAL", text, code="25P03", database=database)
    text = "sorry, too many clients already"
    return record(form, "FATAL", text, code="53300", database=database)


_KINDS = {"busy": _busy, "sessions": _session, "dense": _dense}
# The reader in a process of its own; the first part is as if the extra `logs` was not installed.
_WITHOUT = "import sys; sys.modules['ahocorasick_rs'] = None\n"
_READ = "import runpy; runpy.run_module('bench.log_reader', run_name='__main__', alter_sys=True)"


def _docker(line: str) -> str:
    text = {"log": line + "\n", "stream": "stderr", "time": "2026-11-24T10:00:00.123456789Z"}
    return json.dumps(text, separators=(",", ":"))


def _operator(line: str) -> str:
    record = json.loads(line)
    fields = {
        "log_time": record["timestamp"], "user_name": record.get("user", ""),
        "database_name": record.get("dbname", ""), "process_id": str(record["pid"]),
        "connection_from": "10.0.0.7:50000", "session_id": "65f0a1b2.1267",
        "session_line_num": "3", "session_start_time": "2026-11-24 09:59:00 UTC",
        "virtual_transaction_id": "3/17", "transaction_id": "0",
        "error_severity": record["error_severity"],
        "sql_state_code": record.get("state_code", "00000"), "message": record["message"],
        "detail": record.get("detail", ""), "query": record.get("statement", ""),
        "application_name": "orders", "backend_type": "client backend", "query_id": "0",
    }  # fmt: skip
    head = {"level": "info", "ts": "2026-11-24T10:00:00Z", "logger": "postgres", "msg": "record"}
    return json.dumps({**head, "logging_pod": "shop-1", "record": fields}, separators=(",", ":"))


WRAPPINGS: dict[str, tuple[Format, Callable[[str], str]]] = {
    "docker": ("stderr", _docker),
    "cri": ("stderr", lambda line: f"2026-11-24T10:00:00.123456789Z stderr F {line}"),
    "compose": ("stderr", lambda line: f"db-1  | {line}"),
    "syslog": ("stderr", lambda line: f"Nov 24 10:00:00 db1 postgres[4711]: [3-1] {line}"),
    "cloudnativepg": ("jsonlog", _operator),
}
"""The format that is wrapped, and one line of it with its wrapping."""


def write(path: Path, form: Format, kind: str, megabytes: int, wrapping: str = "") -> None:
    """Make a log of at least this size."""
    random.seed(1)
    make = _KINDS[kind]
    sample = b"".join(make(form, random.choice(_DATABASES)) for _ in range(_SAMPLE_RECORDS))
    if wrapping:
        _, wrap = WRAPPINGS[wrapping]
        lines = sample.decode().split("\n")[:-1]
        sample = "".join(f"{wrap(line)}\n" for line in lines).encode()
    with path.open("wb") as file:
        while file.tell() < megabytes * 10**6:
            file.write(sample)


def _ours(path: Path, form: Format, *, by_automaton: bool) -> Measured:
    program = _READ if by_automaton else _WITHOUT + _READ
    command = [sys.executable, "-c", program, str(path), form]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return Measured(*json.loads(done.stdout))


def _grep(path: Path) -> float:
    # Into a pipe: grep does not count when nobody would see it.
    command = ["grep", "-cE", "|".join(TEXTS), str(path)]
    return _seconds(command, {**os.environ, "LC_ALL": "C"})


def _pgbadger(path: Path, form: Format, directory: Path) -> float:
    names = {"stderr": "stderr", "csvlog": "csv", "jsonlog": "jsonlog"}
    command = [
        str(PGBADGER), "--quiet", "--format", names[form], "--prefix", PREFIX, "--jobs", "1",
        "--outfile", str(directory / "report.json"), str(path),
    ]  # fmt: skip
    return _seconds(command, dict(os.environ))


def _seconds(command: list[str], environment: dict[str, str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _beginning(path: Path, megabytes: int) -> Path:
    """A file with the first records of another one; with 0 the file itself."""
    if not megabytes:
        return path
    beginning = path.with_suffix(".beginning")
    with path.open("rb") as file:
        content = file.read(megabytes * 10**6)
    beginning.write_bytes(content[: content.rfind(b"\n") + 1])
    return beginning


def rows(
    megabytes: int, rounds: int, badger_megabytes: int, only: str = "", *, by_automaton: bool = True
) -> Iterator[list[str]]:
    """A row of the report for each log; the best of all rounds counts, for each program."""
    logs = [
        *((form, kind, "") for form in FORMATS for kind in _KINDS),
        *((form, "busy", wrapping) for wrapping, (form, _) in WRAPPINGS.items()),
    ]
    with tempfile.TemporaryDirectory(prefix="pgpe-bench-") as name:
        path = Path(name) / "log"
        for form, kind, wrapping in logs:
            title = f"{form}, {wrapping or kind}"
            if only in title:
                write(path, form, kind, megabytes, wrapping)
                size = path.stat().st_size / 10**6
                path.read_bytes()[:0]  # into the page cache
                runs = [
                    (_ours(path, form, by_automaton=by_automaton), _grep(path))
                    for _ in range(rounds)
                ]
                ours = min(one.seconds for one, _ in runs)
                grep = min(seconds for _, seconds in runs)
                badger = 0.0  # megabytes a second
                if PGBADGER is not None and not wrapping:
                    part = _beginning(path, badger_megabytes)
                    badger = part.stat().st_size / 10**6 / _pgbadger(part, form, path.parent)
                yield [
                    title,
                    f"{size:.0f}",
                    f"{runs[0][0].events}",
                    f"{size / ours:.0f}",
                    f"{size / grep:.0f}",
                    f"{grep / ours:.2f}",
                    f"{badger:.2f}" if badger else "",
                    f"{size / ours / badger:.0f}" if badger else "",
                    f"{max(one.memory for one, _ in runs):.0f}",
                ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=500, help="size of each log")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pgbadger-megabytes", type=int, default=10, help="0 for the whole log")
    parser.add_argument("--only", default="", help="only logs with this in their title")
    parser.add_argument("--without-automaton", action="store_true", help="as without `logs`")
    arguments = parser.parse_args()
    print("".join(f"{column:>{22 if not at else 12}}" for at, column in enumerate(_COLUMNS)))
    arguments_of_rows = (arguments.megabytes, arguments.rounds, arguments.pgbadger_megabytes)
    by_automaton = not arguments.without_automaton
    for row in rows(*arguments_of_rows, arguments.only, by_automaton=by_automaton):
        print("".join(f"{cell:>{22 if not at else 12}}" for at, cell in enumerate(row)), flush=True)
    idle = subprocess.run(
        [sys.executable, "-m", "bench.log_reader", "--idle"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    print(f"\na poll that finds nothing new: {idle.stdout.strip()} ms of processor time")


if __name__ == "__main__":
    main()
