"""Logs of a server, cut anywhere. The first byte chooses the format."""

from __future__ import annotations

from random import Random
from zlib import crc32

from fuzz.harness import Harness, pure
from pg_pool_exporter.metrics.series import of_log
from pg_pool_exporter.metrics.text_format import Blocks, blocks
from pg_pool_exporter.sources.server_log.counting.events import Tally
from pg_pool_exporter.sources.server_log.counting.reader import LogReader
from pg_pool_exporter.sources.server_log.counting.totals import LogTotals
from support.server_log import PREFIX, parser_of, record

_KINDS = (
    *(("stderr", prefix) for prefix in (PREFIX, "%m [%p] ", "", "%t %q[user=%u,db=%d,app=%a] ")),
    ("csvlog", ""),
    ("jsonlog", ""),
)
_MESSAGES = (
    ("ERROR", "canceling statement due to statement timeout", "57014"),
    ("ERROR", "canceling statement due to lock timeout", "55P03"),
    ("FATAL", "terminating connection due to idle-in-transaction timeout", "25P03"),
    ("FATAL", "terminating connection due to idle-session timeout", "57P05"),
    ("FATAL", "canceling authentication due to timeout", "57014"),
    ("FATAL", "sorry, too many clients already", "53300"),
    ("FATAL", 'too many connections for role "app"', "53300"),
    ("FATAL", 'password authentication failed for user "app"', "28P01"),
    ("FATAL", 'database "shop" does not exist', "3D000"),
    ("LOG", "connection authorized: user=app database=shop", "00000"),
    ("LOG", "disconnection: session time: 0:00:01.234 user=app database=shop", "00000"),
    ("ERROR", 'sy"ntax\nerror', "42601"),
)


def _parser(kind: int) -> LogReader:
    form, prefix = _KINDS[kind]
    # Thorough: where only a sample is looked at, it depends on the pieces which lines are in it.
    spoken = None if kind % 2 else ()
    return parser_of(form, prefix, spoken, is_thorough=True)  # type: ignore[arg-type]


def _counted(parser: LogReader, pieces: list[bytes]) -> Tally:
    parser.restart()
    for piece in pieces:
        parser.feed(piece)
    return parser.take_tally()


# Parsers are expensive to make, and begin anew after `restart`.
_WHOLE = [_parser(kind) for kind in range(len(_KINDS))]
_TORN = [_parser(kind) for kind in range(len(_KINDS))]


def _check(data: bytes) -> list[Blocks]:
    if not data:
        return []
    kind, log = data[0] % len(_KINDS), data[1:]
    random = Random(crc32(log))
    cuts = sorted(random.choices(range(len(log) + 1), k=random.randrange(9)))
    pieces = [log[start:end] for start, end in zip([0, *cuts], [*cuts, len(log)], strict=True)]
    whole = _WHOLE[kind]
    tally = _counted(whole, [log])
    if _counted(_TORN[kind], pieces) != tally:
        # Both remember sessions: from here on they would differ for that.
        _WHOLE[kind], _TORN[kind] = _parser(kind), _parser(kind)
        raise AssertionError("counts depend on where the log is cut")
    totals = LogTotals(None)
    totals.add(tally, ("shop", "postgres"), 0.0)
    return [blocks(of_log("main", totals.counts(None, by_database=True, lag=whole.pending)))]


def _seed(kind: int) -> bytes:
    form, _ = _KINDS[kind]
    records = (record(form, *one[:2], code=one[2], statement="SELECT 1") for one in _MESSAGES)  # type: ignore[arg-type]
    return bytes([kind]) + b"".join(records)


HARNESS = Harness(
    name="server_log",
    seeds=[_seed(kind) for kind in range(len(_KINDS))],
    tokens=[
        *(text.encode() for _, text, _ in _MESSAGES),
        b"ERROR:  ", b"FATAL:  ", b"LOG:  ", b"app@shop ", b" [4711] ", b"57014", b"STATEMENT:  ",
        b"2026-11-24 10:00:00.123 UTC", b'","', b'""', b'"message":"', b'"state_code":"', b"\n\t",
        b'"dbname":"', b",FATAL,", "ОШИБКА:  ".encode(), "ОШИБКА:  ".encode("koi8-r"), b"\\u0022",
    ],
    start=pure(_check),
)  # fmt: skip
