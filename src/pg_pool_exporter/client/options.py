"""Arguments of `instrument`, and their defaults."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from pg_pool_exporter import durations
from pg_pool_exporter.client.faults import log

_LEAK_AFTER_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolOptions:
    """The arguments for a pool; None where one is not given. Seconds."""

    app: str | None = None
    name: str | None = None
    server: str | None = None
    leak_after: float | None = None


def pool_options(
    app: object, name: object, server: object, leak_after: float | str | None
) -> PoolOptions:
    """Checked arguments. Raises `TypeError` for a name that is no text."""
    return PoolOptions(
        app=_text("app", app),
        name=_text("name", name),
        server=_text("server", server),
        leak_after=leak_after_seconds(leak_after),
    )


def leak_after_seconds(given: float | str | None) -> float | None:
    """A threshold in seconds; None for none, and for a wrong one, which is logged."""
    if given is None or given == "":
        return None
    try:
        seconds = durations.seconds(given) if isinstance(given, str) else float(given)
        if seconds > 0:
            return seconds
        problem = "it must be more than 0"
    except (TypeError, ValueError) as error:
        problem = str(error)
    # A wrong threshold must not end all measuring.
    log.warning("leak_after is ignored: %s", problem)
    return None


def default_app() -> str:
    """The application's name when none is given: that of its script."""
    name = os.environ.get("PG_POOL_EXPORTER_APP")
    if name:
        return name
    script = Path(sys.argv[0] if sys.argv else "")
    # `python -m package` runs package/__main__.py.
    return (script.parent.name if script.stem == "__main__" else script.stem) or "python"


def default_server() -> str:
    """The server's name when none is given; empty where host and port identify it."""
    return os.environ.get("PG_POOL_EXPORTER_SERVER", "")


def default_leak_after() -> float:
    """The threshold in seconds when none is given."""
    return leak_after_seconds(os.environ.get("PG_POOL_EXPORTER_LEAK_AFTER")) or _LEAK_AFTER_SECONDS


def _text(argument: str, given: object) -> str | None:
    if given is None or isinstance(given, str):
        return given
    raise TypeError(f"{argument} must be text, not {type(given).__name__}")
