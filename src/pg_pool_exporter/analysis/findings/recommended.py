"""Timeouts for the roles of applications: the one source for `doctor`, findings and documents."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

IDLE_IN_TRANSACTION_TIMEOUT = "idle_in_transaction_session_timeout"
"""The setting that ends sessions idle in transaction."""
RECOMMENDED_TIMEOUTS: Mapping[str, str] = MappingProxyType(
    {
        IDLE_IN_TRANSACTION_TIMEOUT: "60s",  # as leak_after: longer silence is overdue anyway
        "statement_timeout": "15s",
        "lock_timeout": "3s",  # for roles that change the schema
    }
)


def setting(name: str) -> str:
    """The statement that sets a recommended timeout for a role."""
    return f"ALTER ROLE … SET {name} = '{RECOMMENDED_TIMEOUTS[name]}'"
