"""The formats nearest to a page of an unknown format, and the names that it lacks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence, Set
from itertools import islice
from typing import NamedTuple

from pg_pool_exporter.formats import ANYTHING, Format

MAX_NAMES = 100
"""Names of a page that are compared: that takes some milliseconds."""
_MAX_LINES = 20_000
_MOST = 3
# Half of the words of two names are the same.
_ALIKE = 0.5

_LIKE_A_POOL = re.compile(
    rb"\n((?=[a-zA-Z0-9_:]*(?:pool|conn|jdbc|data_?source|hikari|go_sql|r2dbc|npgsql|pgx))"
    rb"[a-zA-Z_:][a-zA-Z0-9_:]*+)",
    re.IGNORECASE,
)
# Of one metric.
_SUFFIXES = re.compile(r"_(?:bucket|created)$")


class Nearest(NamedTuple):
    """A format, and names of its series that the page lacks, the most important first."""

    format: str
    missing: tuple[str, ...]


def pool_like_names(page: bytes) -> dict[str, None]:
    """Names of series that look like a pool's, in the order of the page; at most `MAX_NAMES`."""
    names: dict[str, None] = {}
    for match in islice(_LIKE_A_POOL.finditer(b"\n" + page), _MAX_LINES):
        name = match[1].decode()
        if not _SUFFIXES.search(name):
            names[name] = None
            if len(names) == MAX_NAMES:
                break
    return names


def nearest(names: Iterable[str], formats: Sequence[Format]) -> list[Nearest]:
    """The formats, at most three, whose names are most like these; the nearest first."""
    names = {*names}
    words = {_words(name) for name in names}
    scored = [(_likeness(form, words), form) for form in formats]
    best = sorted((pair for pair in scored if pair[0] >= _ALIKE), key=lambda pair: -pair[0])
    return [Nearest(form.name, _missing(form, names)) for _, form in best[:_MOST]]


def _likeness(form: Format, words: Set[frozenset[str]]) -> float:
    """The similarity of the most similar two names, and the number of similar ones."""
    likeness = [
        max((len(own & other) / len(own | other) for other in words), default=0.0)
        for own in {_words(name) for name in form.names()}
    ]
    return max(likeness) + sum(one >= _ALIKE for one in likeness) / (10 * len(likeness))


def _words(name: str) -> frozenset[str]:
    # By their beginnings: `hikari` is like `hikaricp`, and `connection` like `connections`.
    return frozenset(word[:6] for word in name.replace(ANYTHING, "").lower().split("_") if word)


def _missing(form: Format, names: Set[str]) -> tuple[str, ...]:
    values = [value for value in form.values if names.isdisjoint(value.series)]
    return tuple(dict.fromkeys(value.series[0] for value in values[:_MOST]))
