"""Metrics pages of applications, our own and foreign ones: fetched, parsed, and mapped to pools."""
