"""Results of statements to rows of their types; what does not fit is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, get_args, get_type_hints

import psycopg
from psycopg import AsyncConnection
from psycopg.adapt import Transformer
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult

from pg_pool_exporter.sources.queries.rows import ROWS

# The server's types that the driver makes such values of: by their oids, which are fixed.
_OIDS: dict[Any, frozenset[int]] = {
    bool: frozenset({16}),
    bytes: frozenset({17}),
    str: frozenset({19, 25, 1043}),
    int: frozenset({20, 21, 23, 26}),
    float: frozenset({700, 701}),
    list[int]: frozenset({1007}),
    list[float | None]: frozenset({1022}),
}
# Rows that are made before the loop has its next turn.
_CHUNK = 200


class AnswerError(psycopg.OperationalError):
    """An answer that is too large, or not what was asked for. The connection is closed."""


async def load(
    connection: AsyncConnection[Any], results: Sequence[PGresult], kinds: Sequence[type[Any]]
) -> list[list[Any]]:
    """The rows of each result that has any, of the types `kinds`: dataclasses, or `dict`.

    Raises `AnswerError` when results or columns are not those of `kinds`.
    """
    tables = [result for result in results if result.status == ExecStatus.TUPLES_OK]
    if len(tables) != len(kinds):
        raise AnswerError(f"{len(tables)} results instead of {len(kinds)}")
    return [await _rows(connection, *pair) for pair in zip(tables, kinds, strict=True)]


async def _rows(connection: AsyncConnection[Any], result: PGresult, kind: type[Any]) -> list[Any]:
    names = [
        (result.fname(column) or b"").decode("utf-8", "replace") for column in range(result.nfields)
    ]
    required: frozenset[str] = frozenset()
    if kind is not dict:
        required = _check(
            kind, dict(zip(names, map(result.ftype, range(result.nfields)), strict=True))
        )

    def make(values: Sequence[Any]) -> Any:
        row = dict(zip(names, values, strict=True))
        if not all(row[name] is not None for name in required):
            raise AnswerError(f"a value of {kind.__name__} is missing")
        return kind(**row)

    transformer = Transformer(connection)
    transformer.set_pgresult(result)
    rows: list[Any] = []
    for start in range(0, result.ntuples, _CHUNK):
        if start:
            await asyncio.sleep(0)
        try:
            rows += transformer.load_rows(start, min(start + _CHUNK, result.ntuples), make)
        except (ValueError, LookupError, ArithmeticError, psycopg.DataError):
            raise AnswerError("a value is not of its type") from None
    return rows


def _check(kind: type[Any], columns: dict[str, int]) -> frozenset[str]:
    """The columns that are never NULL. Raises `AnswerError` unless all are those of the type."""
    wanted = _COLUMNS[kind]
    missing = wanted.oids.keys() - wanted.optional - columns.keys()
    strange = {name for name, oid in columns.items() if oid not in wanted.oids.get(name, ())}
    if missing or strange:
        raise AnswerError(f"the columns are not those of {kind.__name__}")
    return wanted.required


class _Columns:
    """The columns that a dataclass wants."""

    def __init__(self, kind: type[Any]) -> None:
        hints = get_type_hints(kind)
        nullable = {name for name, hint in hints.items() if type(None) in get_args(hint)}
        self.oids = {
            name: _OIDS[get_args(hint)[0] if name in nullable else hint]
            for name, hint in hints.items()
        }
        """The types that each can have."""
        self.optional = {one.name for one in fields(kind) if one.default is None}
        self.required = frozenset(hints.keys() - nullable)
        """Those that are never NULL."""


_COLUMNS = {kind: _Columns(kind) for kinds in ROWS.values() for kind in kinds}
