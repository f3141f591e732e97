"""Runs a command with a throw-away PostgreSQL, whose address is in its environment.

python .ci/with_postgres.py COMMAND...
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.postgres import EMBEDDED_16, Cluster

with Cluster(EMBEDDED_16) as cluster:
    address = f"{cluster.host}:{cluster.port}/postgres"
    environment = {
        **os.environ,
        "DATABASE_URL": f"postgresql://postgres:x@{address}",
        "JDBC_URL": f"jdbc:postgresql://{address}?user=postgres",
    }
    done = subprocess.run(sys.argv[1:], env=environment, check=False)  # noqa: S603 - the caller's own
sys.exit(done.returncode)
