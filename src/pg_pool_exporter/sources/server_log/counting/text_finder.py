"""The positions of several texts in one piece of data."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from operator import itemgetter

try:
    from ahocorasick_rs import BytesAhoCorasick, MatchKind
except ImportError:  # it is of the extra `logs`
    HAS_AUTOMATON = False
else:
    HAS_AUTOMATON = True

Hit = tuple[int, int, int]
"""Which text was found, its start and its end."""
_Find = Callable[[bytes, int], Iterable[Hit]]
# Bytes from which `bytes.find` is faster than a pattern, measured: it skips up to a text's length,
# a pattern looks for the first byte.
_LONG = 16
# Different lists of texts whose automaton is kept: one or two for a format and its languages.
_MOST_AUTOMATA = 64
_start = itemgetter(1)


class TextFinder:
    """Finds `texts`, of which the first ones are ASCII.

    An automaton finds all in one pass, several times as fast as a pass for each text, which is how
    it is done without the extra `logs`. Both give the same hits.
    """

    def __init__(self, texts: Sequence[bytes], *, by_automaton: bool = HAS_AUTOMATON) -> None:
        finder = _automaton if by_automaton else _one_by_one
        texts = tuple(texts)
        plain = tuple(text for text in texts if text.isascii())
        assert texts[: len(plain)] == plain
        self._in_ascii = finder(plain)
        self._in_any = finder(texts) if len(texts) > len(plain) else None

    def find(self, data: bytes, end: int) -> Iterable[Hit]:
        """The hits in `data[:end]`, in order; none that begins inside another one."""
        # Most pieces are ASCII and cannot contain the others.
        if self._in_any is None or data.isascii():
            return self._in_ascii(data, end)
        return self._in_any(data, end)


@lru_cache(_MOST_AUTOMATA)
def _automaton(texts: tuple[bytes, ...]) -> _Find:
    find = BytesAhoCorasick(texts, matchkind=MatchKind.LeftmostFirst).find_matches_as_indexes
    return lambda data, end: find(memoryview(data)[:end])


def _one_by_one(texts: tuple[bytes, ...]) -> _Find:
    patterns = [None if len(text) >= _LONG else re.compile(re.escape(text)) for text in texts]

    def find(data: bytes, end: int) -> Iterator[Hit]:
        hits: list[Hit] = []
        for index, (text, pattern) in enumerate(zip(texts, patterns, strict=True)):
            size, at = len(text), _next(data, text, pattern, 0, end)
            while at >= 0:
                hits.append((index, at, at + size))
                at = _next(data, text, pattern, at + 1, end)
        hits.sort(key=_start)
        last = 0
        for hit in hits:
            if hit[1] >= last:
                last = hit[2]
                yield hit

    return find


def _next(data: bytes, text: bytes, pattern: re.Pattern[bytes] | None, start: int, end: int) -> int:
    if pattern is None:
        return data.find(text, start, end)
    found = pattern.search(data, start, end)
    return found.start() if found is not None else -1
