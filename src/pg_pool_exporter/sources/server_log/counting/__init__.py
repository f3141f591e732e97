"""From the bytes of a log to counts of events."""
