"""The kinds of input: a module of each name has its `HARNESS`."""

from __future__ import annotations

from importlib import import_module

from fuzz.harness import Harness

NAMES = (
    "native_pages",
    "foreign_pages",
    "jolokia",
    "siblings",
    "http_answers",
    "client_requests",
    "server_log",
    "wrapped_logs",
    "log_prefixes",
    "bouncers",
    "server_answers",
    "configurations",
    "target_lists",
    "kubernetes_answers",
    "web_configurations",
    "requests",
)


def load(name: str) -> Harness:
    """The harness of this name. Imported late, so that coverage can be measured."""
    harness: Harness = import_module(f"fuzz.inputs.{name}").HARNESS
    return harness
