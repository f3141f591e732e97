"""Durations as people write them. The standard library only, because the client imports it."""

from __future__ import annotations

import re

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", re.ASCII)


def seconds(text: str) -> float:
    """`500ms`, `5s`, `2m`, `1h` or `1d` in seconds.

    Raises `ValueError` for anything else, a bare number included: its unit would be a guess.
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise ValueError("a duration is a number and one of ms, s, m, h, d, such as 5s or 500ms")
    return float(found[1]) * _UNITS[found[2]]
