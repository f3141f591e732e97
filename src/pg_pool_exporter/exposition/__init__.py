"""Writes the pages of metrics: `/metrics` and `/probe`, from the store and the analysis."""
