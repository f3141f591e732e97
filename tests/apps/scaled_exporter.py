"""The command `pg-pool-exporter` whose findings see time pass faster.

    python -m apps.scaled_exporter FACTOR ARGUMENT...

Its windows are divided by FACTOR, as tests/support/scaled_rules.py does it with those of the
alerts. Its configuration has its thresholds.
"""

from __future__ import annotations

import sys

from pg_pool_exporter import __main__ as command
from pg_pool_exporter.analysis import analyzer
from pg_pool_exporter.analysis.history import fleet_history

_DIVIDED = (
    (fleet_history, "MINUTE"),
    (analyzer, "_IDLE_PERIOD"),
)


def main() -> int:
    factor = float(sys.argv[1])
    for module, name in _DIVIDED:
        setattr(module, name, getattr(module, name) / factor)
    return command.main(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
