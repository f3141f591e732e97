"""Each case of an alert in one environment, beside another one in a second.

All names are equal in both, job and instance too: nothing but the labels that a user adds to all
that is scraped there distinguishes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from support.promtool import SETTING, TARGET, Case, Labels, Series

PRODUCTION = {"cluster": "eu-1", "env": "production"}
STAGING = {"cluster": "test", "env": "staging"}


class Neighbours(NamedTuple):
    """Two cases at once: in production and in staging."""

    says: str
    series: Series
    asks: Sequence[tuple[int, Labels, Sequence[Labels]]]
    """For each: the minute of its case, its environment, and what fires in it."""


def neighbours(cases: Sequence[Case]) -> Iterator[Neighbours]:
    """Each case in production, in staging one in which the alert does the opposite.

    Settings are those of both environments, so the two have the same, or a case is its own
    neighbour.
    """
    possible = [case for case in cases if _is_of_a_target(case)]
    for case in possible:
        settings = _settings(case)
        others = (one for one in possible if bool(one.firing) != bool(case.firing))
        other = next((one for one in others if _settings(one) == settings), case)
        series = dict(settings)
        asks = []
        for one, environment in zip((case, other), (PRODUCTION, STAGING), strict=True):
            series |= _scraped(one, environment)
            asks.append((one.at, environment, [{**each, **environment} for each in one.firing]))
        yield Neighbours(f"{case.kind}: {case.says}, beside {other.kind}", series, asks)


def _is_of_a_target(case: Case) -> bool:
    """Not what fires because nothing is there at all."""
    return all(TARGET.keys() & one.keys() for one in case.firing)


def _settings(case: Case) -> Series:
    return {name: one for name, one in case.series.items() if name.startswith(SETTING)}


def _scraped(case: Case, environment: Labels) -> Series:
    added = ",".join(f'{name}="{value}"' for name, value in environment.items())
    return {
        name.replace("{", f"{{{added},", 1): one
        for name, one in case.series.items()
        if not name.startswith(SETTING)
    }
