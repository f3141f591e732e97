"""PgBouncer's console, and that of its relatives."""
