"""The SQL in `queries/`, for each version of the server."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

_FILE = re.compile(r"(?P<name>[a-z_]+?)(?:_(?P<version>\d+))?\.sql")


def statement(name: str, version: int) -> str:
    """The statement `name` for a server of the major `version`.

    The file `name_16.sql` is for version 16 and later, `name.sql` for all; the newest that fits
    wins.
    """
    found = [item for item in _statements()[name].items() if item[0] <= version]
    return max(found)[1]


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
