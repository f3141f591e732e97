"""A PostgreSQL server's own log: from its bytes to counts of what happened. No text is kept."""
