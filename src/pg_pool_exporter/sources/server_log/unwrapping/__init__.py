"""Removes what log shippers and container runtimes write around the lines of a log."""
