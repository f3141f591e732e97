"""The latest findings, made when somebody asks."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import inf
from typing import NamedTuple

from pg_pool_exporter.analysis.correlate.joiner import Joiner
from pg_pool_exporter.analysis.finding import Finding
from pg_pool_exporter.analysis.fleet_view import Situation, situation
from pg_pool_exporter.analysis.history import Trends
from pg_pool_exporter.analysis.verdicts.judge import find
from pg_pool_exporter.polling.store import Store

# Whoever asks more often than this gets the same again; in seconds.
_KEPT = 1.0


class Diagnosis(NamedTuple):
    """What is known at a moment, and what is wrong."""

    situation: Situation
    findings: list[Finding]


class Doctor:
    """Gives the diagnosis of the targets in `store`, from memory alone.

    `clock` is the one that the states' times are on.
    """

    def __init__(
        self, store: Store, joiner: Joiner, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._joiner = joiner
        self._trends = Trends(store)
        self._clock = clock
        self._made = -inf
        self._diagnosis: Diagnosis | None = None

    def diagnosis(self) -> Diagnosis:
        """The diagnosis of now, or of a second ago."""
        if self._diagnosis is None or self._clock() - self._made >= _KEPT:
            self._made = self._clock()
            known = situation(self._store, self._joiner, self._trends, self._made)
            self._diagnosis = Diagnosis(known, find(known))
        return self._diagnosis
