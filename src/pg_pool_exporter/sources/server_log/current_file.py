"""Whether the server still writes the files that are read."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable

from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.server_log.format.settings import LogSettings

# Polls in a row: a file may appear a moment after its name.
_ENOUGH_POLLS = 2


class CurrentFile:
    """Compares the files that the server's collector writes with those that are read.

    A server in a container has other paths, and a shipper's file another name: there nothing is
    known. A change shows where one of the files had the server's name before, and none has it now.
    """

    def __init__(self) -> None:
        self._was_read = False
        self._missed = 0

    def observe(self, settings: LogSettings | None, paths: Iterable[str]) -> PollError | None:
        """Compare once a poll; returns why the log is not in `paths` any more, if it is not."""
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
                f"the server writes {settings.file} now, which is none of the files that are read: "
                "add its path to log.files",
            )
        return PollError(
            "other",
            "logging_collector was switched off, so the server writes these files no longer: "
            "switch it on, or name the file of the server's stderr in log.files",
        )


def _is_of(file: str, path: str) -> bool:
    """Whether the path is one that `file` can mean, by its name and that of its directory.

    Each format replaces the suffix `.log` by its own, or appends it.
    """
    directory, named = posixpath.split(posixpath.normpath(file))
    here, name = posixpath.split(path)
    # In the data directory itself, or relative to it: that is unknown.
    last = posixpath.basename(directory)
    if last not in ("", "..", posixpath.basename(here)):
        return False
    first, *others = re.split(r"%[EO]?[A-Za-z%]", named.removesuffix(".log"))
    if not name.startswith(first):
        return False
    rest = name[len(first) :]
    for text in filter(None, others):
        _, found, rest = rest.partition(text)
        if not found:
            return False
    return True
