"""Logs as shippers wrap them, in pieces. The first byte chooses what is expected."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from fuzz.harness import Harness, pure
from pg_pool_exporter.metrics.series import of_log
from pg_pool_exporter.metrics.text_format import Blocks, blocks
from pg_pool_exporter.sources.server_log.counting.reader import MAX_LINE, LogReader
from pg_pool_exporter.sources.server_log.counting.totals import LogTotals
from pg_pool_exporter.sources.server_log.diagnosis import advice
from pg_pool_exporter.sources.server_log.format.log_format import LogFormat

_PREFIX = "%m [%p] %q%u@%d "
_FORMS = (
    LogFormat("stderr", _PREFIX, (), is_fixed=False),
    LogFormat("stderr", "%q%u@%d ", ()),
    LogFormat("csvlog", _PREFIX, (), is_fixed=False),
    LogFormat("jsonlog", None, ()),
    LogFormat("stderr", _PREFIX, (), "csv", is_fixed=False),
)
# Readers are expensive to make; what they keep of one file is not that of another one.
_READERS = [LogReader(form) for form in _FORMS]
_FILES = count()
_EXCERPTS = Path(__file__).parents[2] / "log_excerpts"
_SEEDS = (
    (0, "journal-export"), (0, "json-spread"), (0, "cloudwatch-events"), (0, "logfmt"),
    (0, "docker-parts"), (0, "cri-parts"), (0, "compose-colours"), (0, "cri-cloudnativepg-parts"),
    (0, "syslog-rfc5424"), (0, "journal-full"), (0, "fluent-bit"), (0, "cloud-sql-export"),
    (0, "azure-single-server-export"), (0, "stderr-then-csvlog"), (1, "syslog-other-programs"),
    (1, "journal-json"), (2, "csvlog-then-json"), (2, "cri-csvlog"), (3, "jsonlog-in-fields"),
    (0, "stern-colours"), (0, "aws-logs-tail"), (0, "logcli"), (0, "heroku"), (0, "fly"),
    (0, "papertrail-archive"), (0, "fluent-bit-file"), (0, "json-array"), (0, "opentelemetry"),
    (0, "cloudwatch-subscription"), (0, "loki-push"), (0, "filebeat-module"),
    (0, "journal-export-binary"), (4, "cloud-sql-csv"), (4, "cloudwatch-csv"),
)  # fmt: skip


def _check(data: bytes) -> list[Blocks]:
    if not data:
        return []
    reader = _READERS[data[0] % len(_READERS)]
    reader.restart(str(next(_FILES)))
    for start in range(1, len(data), 4096):
        reader.feed(data[start : start + 4096])
    assert reader.pending <= 2 * MAX_LINE, "more than an object and a line"
    text = advice(_FORMS[data[0] % len(_FORMS)], reader.coverage.last_foreign)
    assert len(text) < 500
    totals = LogTotals(None)
    totals.add(reader.take_tally(frozenset({"shop"})), ("shop", "postgres"), 0.0)
    return [blocks(of_log("main", totals.counts(None, by_database=True, lag=reader.pending)))]


HARNESS = Harness(
    name="wrapped_logs",
    seeds=[
        *(bytes([form]) + (_EXCERPTS / f"{name}.log").read_bytes()[:3000] for form, name in _SEEDS),
        b"\0" + b"".join(b" " * depth + b"{\n" for depth in range(40)) * 50,
    ],
    tokens=[
        b'{"log":"', b'\\n","stream":"stderr"', b'","time":"', b'{"timestamp":"', b'"record":{',
        b'"error_severity":"FATAL"', b'"message":"', b'"textPayload":"', b"stderr F ", b"stderr P ",
        b"db-1  | ", b"shop-1 postgres ", b'2026-11-28T22:30:00Z {app="db"} ', b"app[postgres.1]: ",
        b'"logRecords":[{"body":{"stringValue":"', b'"logEvents":[{"message":"',
        b'"values":[["1","',
        b"2026-11-28T22:30:00Z\ta\t", b"pg.0: [1795904000.1, ", b"\x1e", b"[", b",",
        b"[pod/a/b] ", b"Nov 28 22:30:00 db1 postgres[1]: ", b"[3-1] ", b"[3-2] ",
        b"#011", b"2026-11-28T22:30:00.1Z ", b"<134>1 ", b"\x1b[36m", b"\\u0022", b"\\ud800", b"{",
        b"[" * 40, b'{"log":' * 40, b"2026-11-28 22:30:00.123 UTC [1] a@shop ", b"LOG:  ", b'","',
        b"FATAL:  ", b"connection authorized: user=a database=shop", b"\n\t", b"\r\n", b'"',
    ],
    start=pure(_check),
)  # fmt: skip
