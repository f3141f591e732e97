"""Whether polls are frequent enough to prove a leak."""

from __future__ import annotations

from collections.abc import Iterator

from pg_pool_exporter.config.models import DEFAULT_LEAK_AFTER, Config

POLLS_IN_THRESHOLD = 4
"""Intervals in a leak threshold that make sure of three whole polls."""


def too_slow(config: Config) -> Iterator[str]:
    """A sentence for each target that is polled too rarely for its leak threshold.

    Processes with a socket have thresholds of their own; here the default one stands for them.
    """
    for app in config.apps:
        if app.targets or app.has_lists:
            yield from _sentence(f"app {app.name}", app.interval, app.leak_after, "its leak_after")
    has_sockets = config.socket_dir != ""
    if has_sockets:
        yield from _sentence(
            "processes", config.processes.interval, DEFAULT_LEAK_AFTER, "the default leak_after"
        )
    for server in config.servers:
        thresholds = [
            (app.leak_after, f"the leak_after of app {app.name}")
            for app in config.apps
            if app.server in (None, server.name)
        ]
        if not thresholds and has_sockets:
            thresholds = [(DEFAULT_LEAK_AFTER, "the default leak_after")]
        if thresholds:
            yield from _sentence(f"server {server.name}", server.interval, *min(thresholds))


def _sentence(what: str, interval: float, leak_after: float, named: str) -> Iterator[str]:
    most = leak_after / POLLS_IN_THRESHOLD
    if interval > most:
        yield (
            f"{what}: an interval of {interval:g} s is too long for {named} of {leak_after:g} s; "
            "a proof of leaked connections takes three polls of both sides in that time, so "
            "pg_pool_unreturned_connections can be missing: set an interval of at most "
            f"{most:g} s, or a longer leak_after"
        )
