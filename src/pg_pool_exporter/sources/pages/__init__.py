"""Metrics pages of applications: fetched, parsed, and mapped to pool samples."""
