"""All ways to read a line whose names hold the separators of its prefix."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache

from pg_pool_exporter.sources.server_log.format.prefix_parts import Part

MOST_DATABASES = 64
"""Databases that a line can mean, when it can mean several."""
_MOST_STEPS = 4096


def databases(parts: Sequence[Part], header: bytes) -> set[bytes] | None:
    """The values of the first database in all ways to read `header`; None: too many.

    Sets of positions are bits of a number. `before[i]` are those that a way from the beginning
    reaches before part i, `after[i]` those from which a way leads on to the end after part i.
    """
    size = len(header)
    before = [1]
    ends: list[dict[int, int]] = []
    steps = 0
    for part in parts:
        reached, now = before[-1], 0
        edges: dict[int, int] = {}
        if part.is_any:
            now = (1 << (size + 1)) - (reached & -reached) if reached else 0
        elif not part.name:
            now = (reached & _occurrences(header, part.text)) << len(part.text)
        else:
            for start in _positions(reached):
                edges[start] = _ends(part.text, header, start)
                now |= edges[start]
                steps += 1
            if steps > _MOST_STEPS:
                return None
        ends.append(edges)
        before.append(now)
    if not before[-1] >> size & 1:
        return set()
    after = [1 << size]
    for part, edges in zip(reversed(parts), reversed(ends), strict=True):
        leads = after[-1]
        if part.is_any:
            now = (1 << leads.bit_length()) - 1
        elif not part.name:
            now = (leads >> len(part.text)) & _occurrences(header, part.text)
        else:
            now = sum(1 << start for start, reached in edges.items() if reached & leads)
        after.append(now)
    after.reverse()
    for index, part in enumerate(parts):
        if part.name == "d":
            starts = list(_positions(before[index] & after[index]))
            stops = list(_positions(before[index + 1] & after[index + 1]))
            if len(starts) * len(stops) > MOST_DATABASES:
                return None
            return {header[start:stop].strip() for start in starts for stop in stops
                    if start <= stop}  # fmt: skip
    return {b""}


def _occurrences(header: bytes, text: bytes) -> int:
    found, at = 0, header.find(text)
    while at >= 0:
        found |= 1 << at
        at = header.find(text, at + 1)
    return found


def _positions(bits: int) -> Iterable[int]:
    while bits:
        low = bits & -bits
        yield low.bit_length() - 1
        bits ^= low


def _ends(pattern: bytes, header: bytes, start: int) -> int:
    """Where an escape can end that begins at `start`."""
    compiled = _compiled(pattern)
    longest = compiled.match(header, start)
    if longest is None:
        return 0
    return sum(
        1 << end
        for end in range(start, longest.end() + 1)
        if compiled.fullmatch(header, start, end)
    )


@cache
def _compiled(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern)
