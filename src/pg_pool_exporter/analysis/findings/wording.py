"""Numbers in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

MOST_NAMED = 5
"""Names in one piece of evidence."""
MOST_LINES = 10
"""Lines of evidence of one point."""


def number(count: float, one: str, many: str) -> str:
    """`1 connection is`, `3 connections are`."""
    return f"{count:g} {one if count == 1 else many}"


def spell(seconds: float) -> str:
    """A duration for people: `12 ms`, `4.5 s`, `3 min`, `2.5 h`, `3 days`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    if seconds < 2 * 86400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.0f} days"


def biggest(counts: Mapping[str, float]) -> str:
    """The largest counts by name: `orders (5), billing (2)`. An empty name is a missing
    application_name."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(
        f"{name or 'no application_name'} ({count:g})"
        for name, count in ordered[:MOST_NAMED]
        if count
    )


def first_of(names: Iterable[str], most: int = MOST_NAMED) -> str:
    """The first names, each once, and how many more there are: `a, b and 3 more`."""
    unique = list(dict.fromkeys(names))
    more = len(unique) - most
    return ", ".join(unique[:most]) + (f" and {more} more" if more > 0 else "")


def few(texts: Iterable[str], most: int = MOST_LINES) -> tuple[str, ...]:
    """The first texts, and how many more there are: `a`, `b`, `3 more`."""
    texts = tuple(texts)
    more = len(texts) - most
    return (*texts[:most], f"{more} more") if more > 0 else texts


def figure(name: str, value: float) -> tuple[str, str]:
    """A finding's figure for people: what it is, and how much.

    `oldest_seconds` 130 is `("oldest", "2 min")`, `utilisation_ratio` 0.8 `("utilisation", "80%")`.
    """
    words = name.replace("_", " ")
    if name.startswith("seconds_"):
        return words.removeprefix("seconds "), spell(value)
    if name.endswith("_seconds"):
        return words.removesuffix(" seconds"), spell(value)
    if name.endswith("_ratio"):
        return words.removesuffix(" ratio"), f"{value:.0%}"
    return words, f"{round(value, 1):.12g}"
