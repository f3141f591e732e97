"""The SQL that the exporter sends to servers, for each version, and the rows that come back."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from pg_pool_exporter.sources.queries.rows import ROWS

_FILE = re.compile(r"(?P<name>[a-z_]+?)(?:_(?P<version>\d+))?\.sql")
# Utility statements, which resolve no name by the path that they replace. The role, the database,
# the dsn, or another client of a bouncer in transaction mode may have set that path, and it decides
# whose functions, operators and types a statement means. pg_temp is searched first unless listed.
_OWN_PATH = "SET LOCAL search_path = pg_catalog, pg_temp;"

ACTIVITY_COLUMNS: Mapping[str, str] = {
    "datid": "oid", "pid": "int4", "usesysid": "oid", "application_name": "text",
    "client_addr": "inet", "state": "text", "state_change": "timestamptz",
    "backend_start": "timestamptz", "xact_start": "timestamptz", "wait_event_type": "text",
    "backend_type": "text", "backend_xid": "xid", "backend_xmin": "xid",
}  # fmt: skip
"""Types of the columns of pg_stat_get_activity() that can be missing."""
OF_ACTIVITY = ("sessions", "wait_events", "snapshots")
"""The statements that can do without them."""

_ACTIVITY = "FROM pg_stat_get_activity(NULL)"
# A name that the function does not have is that of the row beside it.
_BESIDE_UNKNOWN = (
    "FROM (SELECT own.* FROM (VALUES ({values})) AS unknown ({columns}), "
    "LATERAL (SELECT {all} FROM pg_stat_get_activity(NULL)) AS own) AS activity"
)


class Batch(NamedTuple):
    """Statements that are sent as one message, and executed in one transaction."""

    statements: str
    params: Mapping[str, Any]
    rows: tuple[type[Any], ...]
    """The type of the rows of each statement that has any."""


def batch(
    *names: str, version: int, settings: str = "", without: Collection[str] = (), **params: Any
) -> Batch:
    """The statements `names` for a server of the major `version`.

    They are executed with the search path of the exporter's own, and `settings`, which are further
    `SET LOCAL` statements; both hold for their transaction only. `without` are columns of
    pg_stat_database and pg_stat_get_activity() that are unknown then.
    """
    texts = {one: statement(one, version) for one in names}
    of_activity = [one for one in without if one in ACTIVITY_COLUMNS]
    if "databases" in texts:
        others = [one for one in without if one not in ACTIVITY_COLUMNS]
        texts["databases"] = _without(texts["databases"], others)
    if of_activity:
        for one in texts.keys() & OF_ACTIVITY:
            texts[one] = _beside_unknown(texts[one], of_activity)
    statements = "\n".join([_OWN_PATH, settings, *texts.values()])
    return Batch(statements, params, tuple(kind for one in names for kind in ROWS[one]))


def statement(name: str, version: int) -> str:
    """The text of the statement `name` for a server of the major `version`.

    The file `name_16.sql` is for version 16 and later, `name.sql` for all; the newest that fits
    wins.
    """
    found = [item for item in _statements()[name].items() if item[0] <= version]
    return max(found)[1]


def _without(text: str, columns: Collection[str]) -> str:
    """The statement with NULL in place of these columns, which are whole numbers."""
    for column in columns:
        text = re.sub(
            rf"\b{column}(?: AS (\w+))?(?=,|\nFROM )",
            lambda found: f"NULL::int8 AS {found[1] or found[0]}",
            text,
        )
    return text


def _beside_unknown(text: str, columns: Collection[str]) -> str:
    """The statement with NULL for these columns of the activity, where it has no such column."""
    unknown = _BESIDE_UNKNOWN.format(
        values=", ".join(f"NULL::{ACTIVITY_COLUMNS[one]}" for one in columns),
        columns=", ".join(columns),
        all=", ".join(ACTIVITY_COLUMNS),
    )
    return text.replace(_ACTIVITY, unknown)


def as_script(text: str) -> str:
    """The statement as a person can execute it, to the same effect, in any client."""
    lines = [line for line in text.splitlines() if not line.startswith("--")]
    return "\n".join(["BEGIN;", _OWN_PATH, *lines, "COMMIT;"])


@cache
def _statements() -> dict[str, dict[int, str]]:
    """The texts of all files, by name and by the first version that they are for."""
    texts: dict[str, dict[int, str]] = {}
    for file in resources.files(__package__).iterdir():
        found = _FILE.fullmatch(file.name)
        if found:
            versions = texts.setdefault(found["name"], {})
            versions[int(found["version"] or 0)] = file.read_text("utf-8")
    return texts
