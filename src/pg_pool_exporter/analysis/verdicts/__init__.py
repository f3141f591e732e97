"""Judges the records: from figures and thresholds to findings. Pure."""
