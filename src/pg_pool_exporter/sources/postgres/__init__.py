"""PostgreSQL: sessions, counters and settings."""
