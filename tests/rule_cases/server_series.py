"""Series of a PostgreSQL server, as an exporter would serve them, to make cases of."""

from __future__ import annotations

from support.promtool import TARGET, series

MAIN = {**TARGET, "server": "main"}
SESSION = {"server": "main", "database": "shop", "user": "orders", "application": "orders-api"}
ELSEWHERE = {"instance": "db-3:10432"}
"""What another exporter's series have."""
JOBS = {**SESSION, "application": "jobs"}


def server(name: str, values: str, **labels: str) -> dict[str, str]:
    """One series of the server `main`."""
    return series(f"pg_server_{name}", values, **{"server": "main", **labels})


def slots(used: str) -> dict[str, str]:
    """100 connections, 5 of them reserved."""
    made = server("used_connections", used) | server("max_connections", "100x60")
    return made | server("reserved_connections", "5x60")


def sessions(values: str, **labels: str) -> dict[str, str]:
    return server("connections", values, **{**SESSION, "state": "idle", **labels})


def age(state: str, values: str) -> dict[str, str]:
    return server("oldest_state_seconds", values, **SESSION, state=state)


def setting(values: str, name: str = "idle_in_transaction_session_timeout") -> dict[str, str]:
    return server("timeout_setting_seconds", values, setting=name)


def override(
    values: str, name: str = "idle_in_transaction_session_timeout", **target: str
) -> dict[str, str]:
    labels = {"setting": name, "database": "all", "user": "orders", **target}
    return server("timeout_override_seconds", values, **labels)
