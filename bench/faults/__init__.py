"""Faults, provoked for real beside a running daemon: what shows each, and after how long."""

from bench.faults import daemon, files, metrics_pages, servers
from bench.faults.case import FAULTS, Expected, Fault

__all__ = ["FAULTS", "Expected", "Fault", "daemon", "files", "metrics_pages", "servers"]
