"""Which targets there are: configured, found in lists and in DNS, and sockets in a directory."""

from pg_pool_exporter.discovery.provider import ProviderStatus
from pg_pool_exporter.discovery.targets import Discovery, Target, app_targets, state_directory

__all__ = ["Discovery", "ProviderStatus", "Target", "app_targets", "state_directory"]
