"""Which sites of overdue checkouts have a name of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from pg_pool_exporter.client.totals import MOST_SITES
from pg_pool_exporter.metrics.catalogue import OTHER

# A site that has no overdue checkout for this long makes room for another.
_KEPT_SECONDS = 600.0


class OverdueSites:
    """Keeps the number of names bounded over time, and each where it is while it is in use."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}  # when each named site was last overdue

    def named(self, sites: Counter[str], now: float) -> Mapping[str, int]:
        """Overdue checkouts by site; those of sites without a place are counted as `other`."""
        # Replaced, never changed: a signal handler may read while another reading is here.
        last = {
            site: now if site in sites else before
            for site, before in self._last.items()
            if site in sites or now - before < _KEPT_SECONDS
        }
        for site, _ in sites.most_common():
            if site not in last and len(last) < MOST_SITES:
                last[site] = now
        self._last = last
        named = {site: count for site, count in sites.items() if site in last}
        if len(named) < len(sites):
            named[OTHER] = sites.total() - sum(named.values())
        return named
