"""Finds the targets: configured, listed in files, over HTTP or in DNS, and sockets."""

from pg_pool_exporter.discovery.targets import Discovery, Target, app_targets, state_directory
from pg_pool_exporter.discovery.task import DiscoveryStatus

__all__ = ["Discovery", "DiscoveryStatus", "Target", "app_targets", "state_directory"]
