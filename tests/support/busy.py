"""Bounds on elapsed time, on a machine that others use too."""

from __future__ import annotations

import os


def within(seconds: float) -> float:
    """The bound `seconds` of a quiet machine, longer where processes wait for a core."""
    return seconds * max(1.0, 2 * os.getloadavg()[0] / (os.cpu_count() or 1))
