"""Reads how a server logs, over its connections."""
