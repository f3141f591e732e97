"""Connections that are checked out and never returned."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from pg_pool_exporter.analysis.findings.finding import Cause
from scenarios.scenario import Scenario, Setup
from scenarios.world import Work

# A connection that is dropped is lost at once in psycopg_pool; other libraries' pools keep it, and
# then it is checked out forever, as one that is kept.
_DROP = Work(ending="drop", site="shop/reports.py:17 export")
_KEEP = Work(ending="keep", site="shop/cart.py:88 hold")
_ERROR = Work(ending="drop", site="shop/payments.py:31 charge", statements=1)
# SQLAlchemy and psycopg begin a transaction with the first statement, which nobody ends.
_KEEP_OPEN = Work(ending="keep", transaction=True, site="shop/cart.py:88 hold")
_EARLY = Work(ending="drop", site="shop/search.py:55 find", statements=1)


def _leaking(
    fault: Work, one_in: int, rate: float, hosts: tuple[str, ...], grows: bool, setup: Setup
) -> None:
    if not setup.native and fault.ending == "drop":
        fault = replace(fault, ending="keep")
    # Other libraries' pools have a fixed size as a rule, ours opens connections as they are needed.
    least = 2 if setup.native or grows else 10
    setup.load(setup.pool(least=least, host=hosts[0]), rate, setup.one_in(one_in, fault))
    for number, host in enumerate(hosts[1:], 1):
        setup.load(setup.pool(process=f"web:{number}", least=least, host=host), rate)


def _scenario(
    name: str,
    title: str,
    fault: Work,
    one_in: int = 200,
    rate: float = 1.5,
    hosts: tuple[str, ...] = ("a",),
    *,
    grows: bool = False,
) -> Scenario:
    return Scenario(
        name=name,
        title=title,
        build=partial(_leaking, fault, one_in, rate, hosts, grows),
        causes=frozenset({Cause.LEAK}),
        to_blame=frozenset({fault.site}),
        leak=True,
        pages=("client", "foreign, FIFO", "foreign, LIFO"),
    )


LEAKS = (
    _scenario("leak-drop-slow", "Leak by dropping, one in 200 requests", _DROP),
    _scenario("leak-drop-fast", "Leak by dropping, one in 40 requests", _DROP, one_in=40, rate=2.0),
    _scenario("leak-keep", "Leak by keeping", _KEEP),
    _scenario(
        "leak-in-transaction",
        "Leak by keeping, in a transaction that the library began",
        _KEEP_OPEN,
    ),
    _scenario("leak-exception", "Leak on the exception path", _ERROR),
    _scenario(
        "leak-growing-pool", "Leak in a pool that opens connections as needed", _KEEP, grows=True
    ),
    _scenario(
        "leak-two-processes", "Leak in one of two processes on a host", _KEEP, hosts=("a", "a")
    ),
    _scenario(
        "leak-two-hosts", "Leak in one of two processes on two hosts", _KEEP, hosts=("a", "b")
    ),
    _scenario("leak-early-return", "Leak by an early return", _EARLY, one_in=300, rate=2.0),
)
