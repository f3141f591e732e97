"""Which lines of code keep connections, where work explains some of the overdue checkouts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Blame(NamedTuple):
    """Lines of code, each with the number of its blamed checkouts."""

    sites: Mapping[str, float]
    are_certain: bool
    """False: only some of these checkouts are to blame, and it is unknown which."""


def blame(overdue: Mapping[str, float], unexplained: float) -> Blame:
    """The lines to blame for the `unexplained` ones of the checkouts that are `overdue` by line.

    The server does not show to which checkout a session belongs, so those that work may explain any
    of them. A line with more checkouts than work can explain keeps at least the difference.
    """
    explained = max(0.0, sum(overdue.values()) - unexplained)
    certain = {site: count - explained for site, count in overdue.items() if count > explained}
    return Blame(certain, True) if certain else Blame(overdue, not overdue)
