"""Durations such as `500ms` or `2m`. Standard library only: the client imports this."""

from __future__ import annotations

import re

EXPECTED = "must be a duration: a number with its unit (ms, s, m, h or d), like 500ms or 1h"
"""The message about any other text."""

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", re.ASCII)


def seconds(text: str) -> float:
    """The seconds of `500ms`, `5s`, `2m`, `1h` or `1d`.

    Raises `ValueError` for anything else, including a number without a unit.
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise ValueError(EXPECTED)
    return float(found[1]) * _UNITS[found[2]]
