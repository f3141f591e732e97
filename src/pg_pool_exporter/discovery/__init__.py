"""Which targets there are: configured, found in lists and in DNS, and sockets in a directory."""

from pg_pool_exporter.discovery.targets import Discovery, Target, app_targets, state_directory
from pg_pool_exporter.discovery.task import DiscoveryStatus

__all__ = ["Discovery", "DiscoveryStatus", "Target", "app_targets", "state_directory"]
