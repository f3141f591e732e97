"""Polls targets on schedule, and keeps the latest state of each in the store."""
