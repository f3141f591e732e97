"""Little's law behind a bouncer, on the virtual clock: pools of which only a page is known."""

from __future__ import annotations

import pytest

from scenarios.bouncer import Bouncer
from scenarios.exporter import LEAK_AFTER, SCRAPE, Page
from scenarios.scenario import Setup
from scenarios.world import Work
from support.console_source import HOST, PORT

BEGINS = 300.0
KEPT = Work(ending="keep")
KEPT_OPEN = Work(ending="keep", transaction=True)
REPORT = Work(statement=200.0, statements=1)
LONG_TRANSACTION = Work(statement=2.0, statements=100, pause=0.2, transaction=True)


def unexplained(mode: str, fault: Work) -> list[float | None]:
    """What is scraped, when from `BEGINS` on now and then a request does something else."""
    setup = Setup(native=False, lifo=False, bouncers=("edge",))
    bouncer = Bouncer(setup.server, mode=mode)
    setup.exporter.watch_bouncer("edge", bouncer)
    page = Page(native=False, host=HOST, port=PORT)
    client = setup.pool(page=page, server=bouncer, least=10, lifetime=None)
    setup.load(client, 1.5)
    setup.world.every(100.0, lambda: client.request(fault), BEGINS)
    setup.world.run(BEGINS + 300)
    (values,) = (
        each
        for name, each in setup.exporter.recorder.series.items()
        if name.startswith("pg_pool_unexplained_connections{") and 'bouncer="edge"' in name
    )
    return values


@pytest.mark.parametrize("fault", [KEPT, KEPT_OPEN])
@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_a_connection_that_never_comes_back_is_unexplained(mode: str, fault: Work) -> None:
    values = unexplained(mode, fault)
    healthy = int(BEGINS / SCRAPE)
    assert {one for one in values[:healthy] if one is not None} == {0}
    assert 1 in values[healthy : healthy + int(2 * LEAK_AFTER / SCRAPE)]
    assert values[-1] is not None
    assert values[-1] >= 2


@pytest.mark.parametrize("fault", [REPORT, LONG_TRANSACTION])
@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_long_work_is_explained(mode: str, fault: Work) -> None:
    values = unexplained(mode, fault)
    assert {one for one in values if one is not None} == {0}
    assert values[-1] == 0
