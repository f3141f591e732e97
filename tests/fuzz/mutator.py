"""Damages inputs at random, in ways that suit texts as well as bytes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random

_NUMBER = re.compile(rb"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_EXTREMES = (
    b"0", b"-0", b"-1", b"1", b"0.5", b"1e-400", b"1e308", b"1e999", b"NaN", b"-Inf", b"Infinity",
    b"255", b"65536", b"2147483647", b"2147483648", b"4294967296", b"9223372036854775807",
    b"18446744073709551616", b"9" * 40, b"9" * 400, b"9" * 5000, b"0x10", b"1_000", b"00", b" 1",
)  # fmt: skip
_PIECES = (
    b"\0", b"\n", b"\r", b"\t", b" ", b'"', b"'", b"\\", b"{", b"}", b"[", b"]", b",", b":", b"=",
    b"#", b"\x1b[31m", b"\x7f", b"\x80", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xf4\x90",
    "é\u2028\u0662\U0001f600".encode(), b"\x1c", b"\x85", b"\xc2\x85",
)  # fmt: skip
# One mutant of this number is as large as it may be.
_LARGE = 200


class Mutator:
    """A sequence of mutants that depends on `seed` only."""

    def __init__(
        self, seeds: Sequence[bytes], tokens: Sequence[bytes], max_bytes: int, seed: str
    ) -> None:
        self._seeds = seeds
        self._pieces = (*tokens, *tokens, *_PIECES)
        self._max_bytes = max_bytes
        self._random = Random(seed)
        self._last = b""

    def next(self) -> bytes:
        """The next mutant: of a seed as a rule, sometimes of the one before."""
        chosen = self._random.choice(self._seeds)
        self._last = self.mutated(self._last if self._random.random() < 0.15 else chosen)
        return self._last

    def mutated(self, data: bytes) -> bytes:
        """`data` with one damage or several."""
        random = self._random
        for _ in range(random.choice((1, 1, 1, 2, 2, 3, 4, 6, 10))):
            data = random.choice(self._DAMAGES)(self, data)
        if random.randrange(_LARGE) == 0:
            data = self._multiplied(data)
        return data[: self._max_bytes]

    def _span(self, data: bytes) -> tuple[int, int]:
        """A part, short as a rule."""
        start = self._random.randrange(len(data) + 1)
        length = int(2 ** (self._random.random() * 10))
        return start, min(len(data), start + length)

    def _line(self, data: bytes) -> tuple[int, int]:
        at = self._random.randrange(len(data) + 1)
        start = data.rfind(b"\n", 0, at) + 1
        return start, data.find(b"\n", start) + 1 or len(data)

    def _flipped(self, data: bytes) -> bytes:
        if not data:
            return data
        at = self._random.randrange(len(data))
        return data[:at] + bytes([data[at] ^ 1 << self._random.randrange(8)]) + data[at + 1 :]

    def _inserted(self, data: bytes) -> bytes:
        at = self._random.randrange(len(data) + 1)
        return data[:at] + self._random.choice(self._pieces) + data[at:]

    def _replaced(self, data: bytes) -> bytes:
        start, end = self._span(data)
        return data[:start] + self._random.choice(self._pieces) + data[end:]

    def _random_bytes(self, data: bytes) -> bytes:
        start, end = self._span(data)
        return data[:start] + self._random.randbytes(self._random.randrange(1, 9)) + data[end:]

    def _deleted(self, data: bytes) -> bytes:
        start, end = self._span(data)
        return data[:start] + data[end:]

    def _deleted_line(self, data: bytes) -> bytes:
        start, end = self._line(data)
        return data[:start] + data[end:]

    def _doubled_line(self, data: bytes) -> bytes:
        start, end = self._line(data)
        to, _ = self._line(data)
        return data[:to] + data[start:end] + data[to:]

    def _copied(self, data: bytes) -> bytes:
        start, end = self._span(data)
        to = self._random.randrange(len(data) + 1)
        return data[:to] + data[start:end] + data[to:]

    def _spliced(self, data: bytes) -> bytes:
        other = self._random.choice(self._seeds)
        start, end = self._span(data)
        return data[:start] + other[self._random.randrange(len(other) + 1) :] + data[end:]

    def _truncated(self, data: bytes) -> bytes:
        return data[: self._random.randrange(len(data) + 1)]

    def _number(self, data: bytes) -> bytes:
        found = _NUMBER.search(data, self._random.randrange(len(data) + 1))
        found = found or _NUMBER.search(data)
        if found is None:
            return data
        return data[: found.start()] + self._random.choice(_EXTREMES) + data[found.end() :]

    _DAMAGES = (
        _flipped, _inserted, _inserted, _replaced, _random_bytes, _deleted, _deleted_line,
        _doubled_line, _copied, _spliced, _truncated, _number, _number,
    )  # fmt: skip

    def _multiplied(self, data: bytes) -> bytes:
        start, end = self._line(data) if self._random.random() < 0.5 else self._span(data)
        piece = data[start:end]
        if not piece:
            return data
        return data[:start] + piece * (self._max_bytes // len(piece)) + data[end:]
