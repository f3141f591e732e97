"""PostgreSQL: its rows (see `queries`) to sessions, counters and settings."""
