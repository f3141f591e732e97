"""Results of statements to rows of their types; other results are refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from math import isfinite
from typing import Any, TypeVar, get_args, get_type_hints

import psycopg
from psycopg import AsyncConnection
from psycopg.adapt import Transformer
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGresult

from pg_pool_exporter.sources.queries.rows import ROWS

T = TypeVar("T")

# The server's types that the driver makes such values of: by their oids, which are fixed.
_OIDS: dict[Any, frozenset[int]] = {
    bool: frozenset({16}),
    bytes: frozenset({17}),
    str: frozenset({19, 25, 1043}),
    int: frozenset({20, 21, 23, 26}),
    float: frozenset({700, 701}),
    list[int | None]: frozenset({1007}),
    list[float | None]: frozenset({1022}),
}


def _is_count(value: int) -> bool:
    return 0 <= value < 1 << 63


# Valid numbers of our statements, and of their arrays: others cannot be written as metrics.
_POSSIBLE: Mapping[Any, Callable[[Any], bool]] = {int: _is_count, float: isfinite}
_POSSIBLE_IN: Mapping[Any, Callable[[Any], bool]] = {
    list[int | None]: _is_count,
    list[float | None]: isfinite,
}
CHUNK = 200
"""Rows that are looked at before the loop has its next turn."""


class AnswerError(psycopg.OperationalError):
    """An answer that is too large, or does not fit the query. The connection is closed."""


async def load(
    connection: AsyncConnection[Any], results: Sequence[PGresult], kinds: Sequence[type[Any]]
) -> list[list[Any]]:
    """The rows of each result that has any, of the types `kinds`: dataclasses, or `dict`.

    In a `dict` a value that the driver does not read as text is None.

    Raises `AnswerError` when results or columns are not those of `kinds`.
    """
    tables = [result for result in results if result.status == ExecStatus.TUPLES_OK]
    if len(tables) != len(kinds):
        raise AnswerError(f"{len(tables)} results instead of {len(kinds)}")
    return [await _rows(connection, *pair) for pair in zip(tables, kinds, strict=True)]


def only(rows: Sequence[T]) -> T:
    """The row of a result that has exactly one. Raises `AnswerError`."""
    if len(rows) != 1:
        raise AnswerError(f"{len(rows)} rows instead of one")
    return rows[0]


async def _rows(connection: AsyncConnection[Any], result: PGresult, kind: type[Any]) -> list[Any]:
    names = [
        (result.fname(column) or b"").decode("utf-8", "replace") for column in range(result.nfields)
    ]
    if any(result.fformat(column) != Format.TEXT for column in range(result.nfields)):
        raise AnswerError(
            "values are not text"
        )  # binary ones are read without a look at their size
    checked = None if kind is dict else _COLUMNS[kind]
    if checked is not None:
        checked.check(dict(zip(names, map(result.ftype, range(result.nfields)), strict=True)))

    def make(values: Sequence[Any]) -> Any:
        if checked is None:
            texts = [value if isinstance(value, str) else None for value in values]
            return dict(zip(names, texts, strict=True))
        return kind(**checked.checked_values(dict(zip(names, values, strict=True))))

    transformer = Transformer(connection)
    transformer.set_pgresult(result)
    rows: list[Any] = []
    for start in range(0, result.ntuples, CHUNK):
        if start:
            await asyncio.sleep(0)
        try:
            rows += transformer.load_rows(start, min(start + CHUNK, result.ntuples), make)
        except (ValueError, LookupError, ArithmeticError, psycopg.DataError):
            raise AnswerError("a value is not of its type") from None
    return rows


class _Columns:
    """The columns of a dataclass."""

    def __init__(self, kind: type[Any]) -> None:
        hints = get_type_hints(kind)
        nullable = {name for name, hint in hints.items() if type(None) in get_args(hint)}
        types = {
            name: get_args(hint)[0] if name in nullable else hint for name, hint in hints.items()
        }
        self._name = kind.__name__
        self._oids = {name: _OIDS[hint] for name, hint in types.items()}
        self._optional = {one.name for one in fields(kind) if one.default is None}
        self._required = frozenset(hints.keys() - nullable)
        self._nullable = nullable
        self._possible = [
            (name, _POSSIBLE[hint]) for name, hint in types.items() if hint in _POSSIBLE
        ]
        self._possible_in = [
            (name, _POSSIBLE_IN[hint]) for name, hint in types.items() if hint in _POSSIBLE_IN
        ]

    def check(self, columns: Mapping[str, int]) -> None:
        """Raise `AnswerError` unless the columns, with the oids of their types, are these."""
        missing = self._oids.keys() - self._optional - columns.keys()
        strange = {name for name, oid in columns.items() if oid not in self._oids.get(name, ())}
        if missing or strange:
            raise AnswerError(f"the columns are not those of {self._name}")

    def checked_values(self, row: dict[str, Any]) -> dict[str, Any]:
        """The row, whose impossible numbers are unknown where a value can be.

        Raises `AnswerError` for a NULL or an impossible number elsewhere: without it the row is
        of no use, and without the row counts would be too small.
        """
        if not all(row[name] is not None for name in self._required):
            raise AnswerError(f"a value of {self._name} is missing")
        for name, is_possible in self._possible:
            value = row.get(name)
            if value is not None and not is_possible(value):
                if name not in self._nullable:
                    raise AnswerError(f"{name} of {self._name} is a number that it cannot be")
                row[name] = None
        for name, is_possible in self._possible_in:
            row[name] = row[name] and [
                one if one is not None and is_possible(one) else None for one in row[name]
            ]
        return row


_COLUMNS = {kind: _Columns(kind) for kinds in ROWS.values() for kind in kinds}
