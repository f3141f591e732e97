"""What the exporter finds and what our rules alert is judged by the same numbers."""

from __future__ import annotations

import yaml

from pg_pool_exporter.config import DEFAULT_LEAK_AFTER, thresholds
from support.rule_files import SETTINGS

PREFIX = "pg_pool_exporter:threshold:"
SAME = {
    "pool_use_ratio": thresholds.POOL_USE,
    "pool_waiting_requests": thresholds.POOL_WAITING,
    "pool_slow_hold_seconds": thresholds.SLOW_HOLD,
    "pool_long_statement_seconds": thresholds.LONG_STATEMENT,
    "bouncer_waiting_seconds": thresholds.BOUNCER_WAIT,
    "pool_leak_seconds": DEFAULT_LEAK_AFTER,
    "server_use_ratio": thresholds.SERVER_USE,
    "server_full_ratio": thresholds.SERVER_FULL,
    "server_idle_in_transaction_seconds": thresholds.IDLE_IN_TRANSACTION,
    "server_lock_wait_seconds": thresholds.LOCK_WAIT,
    "server_lock_pile_up_connections": thresholds.LOCK_PILE_UP,
}


def test_thresholds_are_those_of_the_rules() -> None:
    groups = yaml.safe_load(SETTINGS.read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    reported = {rule["record"].removeprefix(PREFIX): rule["expr"] for rule in rules}
    assert SAME.items() <= reported.items()
