"""Rules whose time passes faster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.scaled_rules import scaled, scaled_duration, scaled_expression, write_scaled


@pytest.mark.parametrize(
    ("duration", "expected"),
    [("5m", "10000ms"), ("1h30m", "180000ms"), ("1d", "2880000ms"), ("10ms", "1ms")],
)
def test_a_duration_is_divided(duration: str, expected: str) -> None:
    assert scaled_duration(duration, 30) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("rate(a[5m]) > 5", "rate(a[10000ms]) > 5"),
        ("max_over_time(a[1h:30s])", "max_over_time(a[120000ms:1000ms])"),
        ("a offset 30m", "a offset 60000ms"),
        ('a{b="5m"} and c5m', 'a{b="5m"} and c5m'),
        ("p:q:rate5m / p:q:rate1h", "p:q:rate5m / p:q:rate1h"),
    ],
)
def test_only_ranges_and_offsets_are(expression: str, expected: str) -> None:
    assert scaled_expression(expression, 30) == expected


def rule(**fields: Any) -> Any:
    (scaled_rule,) = scaled({"groups": [{"rules": [fields]}]}, 30)["groups"][0]["rules"]
    return scaled_rule


def test_so_is_how_long_an_alert_waits_and_stays() -> None:
    made = rule(alert="A", expr="a > 1", **{"for": "1m", "keep_firing_for": "5m"})
    assert (made["for"], made["keep_firing_for"], made["expr"]) == ("2000ms", "10000ms", "a > 1")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("server_lock_wait_seconds", 1.0),
        ("pool_use_ratio", "30"),
        # How long the applications' own work takes.
        ("pool_acquire_seconds", 30),
    ],
)
def test_so_are_thresholds_that_are_ages(name: str, expected: object) -> None:
    made = rule(record=f"pg_pool_exporter:threshold:{name}", expr=30)
    assert made["expr"] == expected


def test_files_keep_their_names(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "to").mkdir()
    original = tmp_path / "from" / "a.yml"
    original.write_text("groups: [{name: g, rules: [{record: 'a:b:c', expr: 'rate(x[5m])'}]}]")
    (written,) = write_scaled([original], tmp_path / "to", 30)
    assert written == tmp_path / "to" / "a.yml"
    assert "rate(x[10000ms])" in written.read_text()
