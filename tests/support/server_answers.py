"""Whole answers to the queries of one poll, as a server of the fake kind sends them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, get_type_hints

from pg_pool_exporter.sources.queries.rows import ROWS, SettingRow
from support.fake_server import DONE, READY, columns, row

_VALUES: dict[Any, tuple[int, bytes]] = {
    bool: (16, b"t"),
    str: (25, b"shop"),
    int: (23, b"7"),
    float: (701, b"1.5"),
    list[int | None]: (1007, b"{7,8}"),
    list[float | None]: (1022, b"{1.5,NULL}"),
    list[float | None] | None: (1022, b"{3.5,NULL}"),
    int | None: (23, b"7"),
    str | None: (25, b"idle"),
    float | None: (701, b"2.5"),
}
_SETTINGS = ("max_connections", "superuser_reserved_connections", "statement_timeout")
BATCHES = (
    ("own_timeouts", "setup"),
    (
        "sessions", "server_state", "databases", "lock_waits", "wait_events", "snapshots",
        "server", "settings", "database_limits", "role_limits", "overrides",
    ),
    ("waits",),
)  # fmt: skip
"""The statements of a poll with all facts of the newest version, in the order of its queries."""


def poll_answers(
    values: Mapping[str, bytes] | None = None, rows: Mapping[str, int] | None = None
) -> list[bytes]:
    """An answer for each query. `values` replace those of columns; `rows` numbers of rows, by the
    name of the row's type.
    """
    return [_answer(statements, values or {}, rows or {}) for statements in BATCHES]


def _answer(
    statements: Sequence[str], values: Mapping[str, bytes], rows: Mapping[str, int]
) -> bytes:
    out = b""
    for kind in (kind for statement in statements for kind in ROWS[statement]):
        hints = get_type_hints(kind)
        names = [one.name for one in fields(kind)]
        out += columns(*((name, _VALUES[hints[name]][0]) for name in names))
        cells = {name: values.get(name, _VALUES[hints[name]][1]) for name in names}
        if kind is SettingRow and "setting" not in values:
            each = [{**cells, "setting": setting.encode()} for setting in _SETTINGS]
        else:
            each = [cells]
        each *= rows.get(kind.__name__, 1)
        out += b"".join(row(*one.values()) for one in each) + DONE
    return out + READY


TEXT = columns(("setting", 25))
SETUP = (
    TEXT + DONE
    + columns(("pid", 23), ("started", 25), ("role", 19)) + row(b"4711", b"1.5", b"monitor") + DONE
    + columns(("value", 25)) + row(b"on") + DONE + READY
)  # fmt: skip
"""The answer to the statements with which a session of ours begins."""
