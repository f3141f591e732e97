"""The command `pg-pool-exporter` that reports its figures on SIGUSR1.

python -m bench.soak.daemon FIGURES ARGUMENT...
"""

from __future__ import annotations

import sys
from pathlib import Path

from bench.soak.figures import report_on_signal
from pg_pool_exporter import __main__ as command

if __name__ == "__main__":
    report_on_signal(Path(sys.argv[1]))
    sys.exit(command.main(sys.argv[2:]))
