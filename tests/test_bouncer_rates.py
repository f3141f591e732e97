"""What happened in a bouncer's databases in the last minute, by its counters."""

from __future__ import annotations

import pytest

from pg_pool_exporter.model import BouncerDatabase
from pg_pool_exporter.sources.pgbouncer.rates import RecentRates


def counters(
    logins: float, transactions: float, seconds: float, waited: float = 0.0
) -> dict[str, BouncerDatabase]:
    shop = BouncerDatabase(
        logins=logins, transactions=transactions, transaction_time=seconds, wait=waited
    )
    return {"shop": shop}


@pytest.mark.parametrize(
    ("after", "rates"),
    [
        (10.0, (None, None, None)),  # too soon
        (30.0, (10, 20, 0.5)),
    ],
)
def test_rates_need_some_seconds(
    after: float, rates: tuple[float | None, float | None, float | None]
) -> None:
    recent = RecentRates()
    recent.added(counters(0, 0, 0), 100.0)
    shop = recent.added(counters(300, 600, 300), 100.0 + after)["shop"]
    assert (shop.login_rate, shop.transaction_rate, shop.mean_transaction) == rates
    assert shop.logins == 300


def test_the_time_of_a_transaction_is_without_the_wait_that_the_bouncer_counts_with_it() -> None:
    recent = RecentRates()
    recent.added(counters(0, 0, 0), 0.0)
    shop = recent.added(counters(0, 100, 210.0, waited=200.0), 30.0)["shop"]
    assert shop.mean_transaction == pytest.approx(0.1)


def test_only_the_last_minute_counts() -> None:
    recent = RecentRates()
    logins = 0.0
    for second in range(0, 300, 5):
        logins += 5 if second < 200 else 10
        shop = recent.added(counters(logins, 0, 0), float(second))["shop"]
    assert shop.login_rate == 2


@pytest.mark.parametrize("interval", [15.0, 30.0, 59.0, 60.0, 61.0, 120.0, 3600.0])
def test_polls_that_are_far_apart_have_rates_from_the_second_on(interval: float) -> None:
    recent = RecentRates()
    times = [0.0]
    for number in range(10):
        times.append(times[-1] + interval * (1.05 if number % 2 else 0.97))
    shown = [recent.added(counters(5 * one, 10 * one, one), one)["shop"] for one in times]
    for shop in shown[2:]:
        assert shop.login_rate == pytest.approx(5)
        assert shop.mean_transaction == pytest.approx(0.1)


def test_only_the_time_since_the_poll_before_counts_where_polls_are_far_apart() -> None:
    recent = RecentRates()
    for time, logins in ((0.0, 0), (120.0, 1200), (240.0, 1200)):
        shop = recent.added(counters(logins, 0, 0), time)["shop"]
    assert shop.login_rate == 0


def test_a_bouncer_that_was_restarted_has_no_rates_at_first() -> None:
    recent = RecentRates()
    recent.added(counters(1000, 1000, 1000), 0.0)
    assert recent.added(counters(1, 1, 1), 30.0)["shop"].login_rate is None


def test_no_transaction_has_no_mean() -> None:
    recent = RecentRates()
    recent.added(counters(0, 5, 1), 0.0)
    assert recent.added(counters(0, 5, 1), 30.0)["shop"].mean_transaction is None
