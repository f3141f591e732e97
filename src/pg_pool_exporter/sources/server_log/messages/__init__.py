"""PostgreSQL's own messages in its languages."""
