"""The formats nearest to a page of an unknown format, and the names that it lacks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from functools import cache
from itertools import islice
from math import sqrt
from typing import NamedTuple

from pg_pool_exporter.formats import ANYTHING, FORMATS, Format

MAX_NAMES = 100
"""Names of a page that are compared: that takes 20 ms at most."""
_MAX_LINES = 20_000
_MOST = 3
_ALIKE = 0.5
_LEAST = 0.25

# Within bounds: a line can be a name of a mebibyte.
_LIKE_A_POOL = re.compile(
    rb"\n((?=[a-zA-Z0-9_:]{0,128}(?:pool|conn|jdbc|data_?source|hikari|go_sql|dbstats|r2dbc|npgsql|pgx"
    rb"|agroal|prisma|ecto|repo_query|bouncer|odyssey))[a-zA-Z_:][a-zA-Z0-9_:]{0,255}+)",
    re.IGNORECASE,
)
# Of one metric.
_SUFFIXES = re.compile(r"_(?:bucket|created)$")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")


class _Words(NamedTuple):
    """The words of a name, and their weight together."""

    words: frozenset[str]
    weight: float


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
    words = _all_words(names)
    scored = [(_likeness(form, words), form) for form in formats]
    best = sorted((pair for pair in scored if pair[0] >= _LEAST), key=lambda pair: -pair[0])
    return [Nearest(form.name, _missing(form, names)) for _, form in best[:_MOST]]


def _likeness(form: Format, words: Set[_Words]) -> float:
    """The similarity of the most similar two names, and the number of similar ones."""
    likeness = [
        max((_similarity(own, other) for other in words), default=0.0)
        for own in _all_words(form.names())
    ]
    return max(likeness) + sum(one >= _ALIKE for one in likeness) / (10 * len(likeness))


def _similarity(one: _Words, other: _Words) -> float:
    """How much of two names is the same, from 0 to 1. Words that many formats have count less."""
    if one.words.isdisjoint(other.words):  # as nearly all are
        return 0.0
    return 2 * _weight(one.words & other.words) / (one.weight + other.weight)


def _all_words(names: Iterable[str]) -> set[_Words]:
    return {_Words(words, _weight(words)) for words in map(_words, names)}


def _weight(words: Iterable[str]) -> float:
    formats = _formats_by_word()
    return sum(1 / sqrt(formats.get(word, 1)) for word in words)


@cache
def _formats_by_word() -> Mapping[str, int]:
    """How many formats have a word in a name."""
    return Counter(
        word
        for form in FORMATS.values()
        for word in {word for name in form.names() for word in _words(name)}
    )


def _words(name: str) -> frozenset[str]:
    # By their beginnings: `hikari` is like `hikaricp`, and `connection` like `connections`.
    return frozenset(word[:6].lower() for word in _WORD.findall(name.replace(ANYTHING, "")))


def _missing(form: Format, names: Set[str]) -> tuple[str, ...]:
    values = [value for value in form.values if names.isdisjoint(value.series)]
    return tuple(dict.fromkeys(value.series[0] for value in values[:_MOST]))
