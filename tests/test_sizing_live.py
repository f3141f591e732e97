"""An advised size, taken, with a real pool and a real PostgreSQL."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from bench.sizing_live import POINTS, WORKLOADS, rows
from support.postgres import Cluster

# Half a minute: shares of a time need time. `bench.sizing --live` has more workloads, for longer.
_SECONDS = 12.0


@pytest.mark.slow
def test_at_the_advised_sizes_requests_wait_as_seldom_as_promised(postgres: Cluster) -> None:
    # With 5 a busy machine, where checkouts last longer, would hide a part of the demand.
    work = replace(WORKLOADS[0], size=7)
    (row,) = asyncio.run(rows(postgres.dsn(), [work], _SECONDS))
    assert row.first.saturated > 0.02
    assert row.first.waited > 0.02
    nearly, most = row.needed.for_shares
    assert row.work.size < nearly <= most
    assert row.is_kept
    assert row.at_99.waited <= 0.01 + POINTS
    assert row.at_999.waited <= 0.001 + POINTS
