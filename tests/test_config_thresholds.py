"""Thresholds in the configuration: what is accepted, and how mistakes are reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from pg_pool_exporter.analysis.thresholds import AllThresholds
from pg_pool_exporter.config import load
from support.configuration import mistakes, write

DURATION = "must be a duration: a number with its unit (ms, s, m, h or d), like 500ms or 1h"


def test_the_innermost_threshold_wins(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        thresholds: {long_checkout: 2s, lock_pile_up: 10}
        apps:
          - name: orders
            thresholds: {long_checkout: 500ms, idle_in_transaction: 10m}
            pools:
              - name: reports
                thresholds: {long_checkout: 5m}
        """,
    )
    found = AllThresholds.of(load(path))
    assert found.of_pool("orders", "reports").long_checkout == 300
    assert found.of_pool("orders", "main").long_checkout == 0.5
    assert found.of_pool("billing", "reports").long_checkout == 2
    assert found.of_pool("orders", "reports").idle_in_transaction == 600
    assert found.of_sessions("orders").idle_in_transaction == 600
    assert found.of_sessions("billing").idle_in_transaction == 120
    assert found.of_app("orders").lock_pile_up == 10


@pytest.mark.parametrize(
    ("threshold", "mistake"),
    [
        ("pool_utilisation: 80", "must be a share above 0 and at most 1, like 0.8; found 80"),
        ("pool_utilisation: 80%", "must be a number; found '80%'"),
        ("pool_utilisation: true", "must be a number; found true"),
        ("pool_waiting: 0", "must be above 0 and at most 100000; found 0"),
        ("lock_pile_up: 2.5", "must be a whole number; found 2.5"),
        ("lock_pile_up: 0", "must be at least 1; found 0"),
        ("lock_wait: 30", f"{DURATION}; found 30"),
        ("lock_wait: 0s", "must be above 0; found '0s'"),
        ("server_full: 0.5", "must be at least server_utilisation, which is 0.8; found 0.5"),
        ("long_checkout:", "must have a value, or be left out; found nothing"),
    ],
)
def test_a_threshold_out_of_range_is_refused(tmp_path: Path, threshold: str, mistake: str) -> None:
    key = threshold.partition(":")[0]
    path = write(tmp_path, f"thresholds:\n  {threshold}\n")
    assert mistakes(path) == [f"2: thresholds.{key}: {mistake}"]


def test_a_lower_threshold_of_full_servers_needs_a_lower_one_before(tmp_path: Path) -> None:
    """The message is about the key that the user has given, though the other is a default."""
    path = write(tmp_path, "thresholds: {server_utilisation: 0.97}")
    assert mistakes(path) == [
        "1: thresholds.server_full: must be at least server_utilisation, which is 0.97; found 0.95"
    ]


def test_a_misspelt_threshold_gets_the_nearest_one(tmp_path: Path) -> None:
    path = write(tmp_path, "apps: [{name: orders, thresholds: {long_chekout: 5s}}]")
    (mistake,) = mistakes(path)
    assert mistake.startswith(
        "1: apps[0].thresholds.long_chekout: is an unknown key; did you mean long_checkout?"
    )


@pytest.mark.parametrize(
    ("where", "threshold"), [("thresholds", "lock_wait"), ("pools", "idle_in_transaction")]
)
def test_what_is_not_of_one_application_or_pool_has_no_threshold_there(
    tmp_path: Path, where: str, threshold: str
) -> None:
    own = f"{{{threshold}: 5m}}"
    value = own if where == "thresholds" else f"[{{name: main, thresholds: {own}}}]"
    (mistake,) = mistakes(write(tmp_path, f"apps: [{{name: orders, {where}: {value}}}]"))
    assert f"{threshold}: is an unknown key" in mistake


def test_a_pool_has_thresholds_once(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        apps:
          - name: orders
            pools: [{name: main}, {name: main}]
          - name: billing
            pools: [{name: main}]
        """,
    )
    assert mistakes(path) == [
        "4: apps[0].pools[1].name: must be unique; apps[0].pools[0].name is the same"
    ]
