"""Joins what the targets tell: pure, from values to values; what must be remembered is bounded."""
