"""Tables of admin consoles. A line is a row with tabs between its cells; `-` is NULL.

`=TABLE` begins a table, whose next line names its columns; `=VERSION TEXT` chooses the dialect.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from fuzz.harness import Harness, pure
from pg_pool_exporter.metrics.series import of_bouncer
from pg_pool_exporter.metrics.text_format import Blocks, blocks
from pg_pool_exporter.model import BouncerSample
from pg_pool_exporter.sources.pgbouncer.answers import Answers, Rows, value
from pg_pool_exporter.sources.pgbouncer.databases import databases, users
from pg_pool_exporter.sources.pgbouncer.dialects import dialect
from pg_pool_exporter.sources.pgbouncer.folding import BouncerFolding, Shown
from pg_pool_exporter.sources.pgbouncer.pools import pools
from support.consoles import CONSOLES

_TABLES = tuple(one.name for one in fields(Answers) if one.name != "console")


def _written(version: str, answers: Answers) -> bytes:
    lines = [f"=VERSION {version}"]
    for table in _TABLES:
        rows: Rows | None = getattr(answers, table)
        if rows:
            lines += [f"={table}", "\t".join(rows[0])]
            lines += ["\t".join("-" if cell is None else cell for cell in row.values())
                      for row in rows]  # fmt: skip
    return "\n".join(lines).encode()


def _read(text: str) -> tuple[str, Answers]:
    version, tables = "", dict[str, Rows]()
    table, columns = "", list[str]()
    for line in text.split("\n"):
        if line.startswith("=VERSION "):
            version = line.removeprefix("=VERSION ")
        elif line.startswith("="):
            table, columns = line[1:], []
        elif table in _TABLES and not columns:
            columns = line.split("\t")
            tables.setdefault(table, [])
        elif table in _TABLES:
            cells = (None if cell == "-" else cell for cell in line.split("\t"))
            row: Mapping[str, str | None] = dict(zip(columns, cells, strict=False))
            tables[table].append(row)
    return version, Answers(console="pgbouncer", **{"pools": [], **tables})


def _check(data: bytes) -> list[Blocks]:
    version, answers = _read(data.decode("utf-8", "replace"))
    spoken = dialect(version)
    read = Shown(
        pools=pools(answers, spoken), databases=databases(answers, spoken), users=users(answers)
    )
    shown = BouncerFolding(100, 100).fold(read, 0.0)
    sample = BouncerSample(
        version=version[:100],
        pools=shown.pools,
        databases=shown.databases,
        users=shown.users,
        max_clients=value(answers.stats, "database", "shop", "total_xact_count"),
        clients=None,
    )
    return [blocks(of_bouncer("edge", sample))]


HARNESS = Harness(
    name="bouncers",
    seeds=[_written(one.version, one.answers) for one in CONSOLES],
    tokens=[
        *(f"={table}\n".encode() for table in _TABLES),
        *{column.encode() for one in CONSOLES for row in one.answers.pools for column in row},
        b"\t", b"\t-\t", b"shop\tapp\t", b"other\tother\t", b"pgbouncer",
        b"2026-11-24 10:06:40 UTC",
        b"9999-12-31 23:59:59", b"0000-00-00 00:00:00", b"idle", b"Odyssey", b"PgCat 0.1.",
    ],
    start=pure(_check),
)  # fmt: skip
