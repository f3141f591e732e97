"""Answers below the bound are read whole, however much of them waits in the kernel at once."""

from __future__ import annotations

from pg_pool_exporter.sources.connection.bounded import MOST_BYTES, BoundedConnection
from pg_pool_exporter.sources.queries import Batch
from support.polling import run
from support.postgres import Cluster

_ROW = 1000
_ROWS = MOST_BYTES // _ROW // 2


def test_half_of_what_is_allowed_is_read(postgres: Cluster) -> None:
    """Libpq reads a part at a time: what is left in the kernel is not counted again."""
    statement = f"SELECT repeat('x', {_ROW}) AS cell FROM generate_series(1, {_ROWS})"
    where = f"host={postgres.host} port={postgres.port} dbname=postgres user=postgres"

    async def main() -> None:
        connection = await BoundedConnection.open(where)
        (rows,) = await connection.execute_batch(Batch(statement, {}, (dict,)))
        assert len(rows) == _ROWS
        assert rows[-1] == {"cell": "x" * _ROW}
        await connection.close()

    run(main())
