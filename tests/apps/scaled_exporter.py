"""The command `pg-pool-exporter` whose findings see time pass faster.

    python -m apps.scaled_exporter FACTOR ARGUMENT...

Ages and windows by which findings judge are divided by FACTOR, as tests/support/scaled_rules.py
does it with those of the alerts. How long applications take for their work is not: it doesn't
change with our clock.
"""

from __future__ import annotations

import sys

from pg_pool_exporter import __main__ as command
from pg_pool_exporter.analysis import analyzer, history
from pg_pool_exporter.config import thresholds

_DIVIDED = (
    (thresholds, "LONG_STATEMENT"),
    (thresholds, "IDLE_IN_TRANSACTION"),
    (thresholds, "LOCK_WAIT"),
    (history, "MINUTE"),
    (analyzer, "_IDLE_PERIOD"),
)


def main() -> int:
    factor = float(sys.argv[1])
    for module, name in _DIVIDED:
        setattr(module, name, getattr(module, name) / factor)
    return command.main(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
