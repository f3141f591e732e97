"""The names that exporters of other languages give the series of our own format.

.NET's prometheus-net puts the meter's name in front, and leaves out the unit and `_total` (tried
with 8.2.1); other exporters do some of that. OTLP can give times in milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

PREFIX = "pg_pool_"
"""Common start of all names of a pool's series."""

_TOTAL = "_total"
_SECONDS = "_seconds"


class Spelling(NamedTuple):
    """A name of a series."""

    name: str
    milliseconds: bool = False
    """Whether its unit is the millisecond."""


def spellings(name: str, suffix: str = "") -> Iterator[Spelling]:
    """The spellings of the metric `name`, ours first; `suffix` is that of a histogram's series."""
    total = _TOTAL if name.endswith(_TOTAL) else ""
    stem = name.removesuffix(total)
    timed = stem.endswith(_SECONDS)
    stem = stem.removesuffix(_SECONDS)
    units = (_SECONDS, "", "_milliseconds") if timed else ("",)
    for prefix, unit, end in product(("", PREFIX), units, dict.fromkeys((total, ""))):
        yield Spelling(f"{prefix}{stem}{unit}{end}{suffix}", unit == "_milliseconds")
