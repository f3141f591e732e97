"""Faults of our own: each costs the analysis in which it happens, and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import structlog

from pg_pool_exporter.polling.poller import unforeseen

log = structlog.get_logger(__name__)

# Different faults that are logged; a fault that repeats is logged once and counted each time.
_MAX_LOGGED = 100


class Faults:
    """Counts the faults of each of the named analyses."""

    def __init__(self, analyses: Iterable[str]) -> None:
        self._counts = Counter(dict.fromkeys(analyses, 0))
        self._logged: set[tuple[str, str, str | None]] = set()

    @property
    def counts(self) -> Mapping[str, int]:
        """Faults so far, by analysis; 0 for one without a fault."""
        return dict(self._counts)

    @contextmanager
    def contained(self, analysis: str) -> Iterator[None]:
        """End the block at a fault in it, which is counted and logged without its message."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - a fault of ours must not spread
            self._counts[analysis] += 1
            fault = unforeseen(error)
            key = analysis, fault.error, fault.stack
            if key not in self._logged and len(self._logged) < _MAX_LOGGED:
                self._logged.add(key)
                log.error(
                    "analysis failed", analysis=analysis, error=fault.error, stack=fault.stack
                )
