"""Finds the targets: configured, in lists (files, HTTP, DNS, Kubernetes), and sockets."""

from pg_pool_exporter.discovery.targets import Discovery, Target, app_targets, state_directory
from pg_pool_exporter.discovery.task import DiscoveryStatus

__all__ = ["Discovery", "DiscoveryStatus", "Target", "app_targets", "state_directory"]
