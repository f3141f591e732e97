"""PgBouncer's console, and that of its relatives: its rows to pools, clients and limits."""
