"""Whether the server still writes the files that are read."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.server_log.format.settings import LogSettings

# Polls in a row: a file may appear a moment after its name.
_ENOUGH_POLLS = 2


class CurrentFile:
    """Compares the files that the server's collector writes with those that are read.

    Paths differ where the server is in a container, and what a shipper writes has other names. So
    only a name that one of those files had, and none has any longer, says anything.
    """

    def __init__(self) -> None:
        self._was_read = False
        self._missed = 0

    def problem(self, settings: LogSettings | None, paths: Iterable[str]) -> PollError | None:
        """Why the log is not in `paths` any more; None if it is, or if that is unknown."""
        if settings is None or settings.file is None:
            return None
        if settings.collector and any(_is_of(settings.file, path) for path in paths):
            self._was_read, self._missed = True, 0
            return None
        if not self._was_read:
            return None
        self._missed += 1
        if self._missed < _ENOUGH_POLLS:
            return None
        if settings.collector:
            return PollError(
                "other",
                f"the server writes {settings.file} now, which is none of the files that are read",
            )
        return PollError(
            "other", "logging_collector was switched off: the server writes these files no longer"
        )


def _is_of(file: str, path: str) -> bool:
    """Whether the path is one that `file` can mean, by its name and that of its directory.

    Each format replaces the suffix `.log` by its own, or appends it.
    """
    name = _end(path)
    first, *others = re.split(r"%[EO]?[A-Za-z%]", _end(file).removesuffix(".log"))
    if not name.startswith(first):
        return False
    rest = name[len(first) :]
    for text in filter(None, others):
        _, found, rest = rest.partition(text)
        if not found:
            return False
    return True


def _end(path: str) -> str:
    return "/".join(f"/{path}".split("/")[-2:])
