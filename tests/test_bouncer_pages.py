"""Pages recorded from real bouncers are read as what was done to their pool at that moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from pg_pool_exporter.model import PoolId
from pg_pool_exporter.sources.pages.reading.text_reader import PageReader
from pg_pool_exporter.sources.pages.series.foreign_page import automatic
from pg_pool_exporter.sources.pages.target_defaults import TargetDefaults

PAGES = Path(__file__).parent / "pages/bouncers"
CLIENTS = {"pgbouncer-exporter": "PgBouncer", "pgcat": "PgCat", "pgdog": "PgDog"}
# Of a pool of three: in use, idle, waiting clients.
STATES = {"two": (2, 1, 0), "full": (3, 0, 2)}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("form", CLIENTS)
def test_the_pool_of_a_real_bouncer_is_read_and_nothing_else(form: str, state: str) -> None:
    page = (PAGES / f"{form}-{state}.txt").read_bytes()
    reader = PageReader(automatic(), TargetDefaults(app="shop", process="bouncer:9127"))
    [pool] = reader.read(page).pools
    place = "/127.0.0.1/5432/0/primary" if form == "pgdog" else ""
    assert pool.key == PoolId("shop", f"shop/orders{place}", "bouncer:9127")
    assert (pool.active, pool.idle, pool.waiting) == STATES[state]
    assert (pool.oldest_waiting or 0) == pytest.approx(1.2 if state == "full" else 0, abs=0.3)
    assert pool.info is not None
    assert (pool.info.client, pool.info.source) == (CLIENTS[form], form)
    assert (pool.info.database, pool.info.user) == ("shop", "orders")
