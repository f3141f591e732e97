"""Polls one target and turns its answer into a `Snapshot`: a folder for each kind of target."""
