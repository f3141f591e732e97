"""Lists of addresses in files, watched."""

from __future__ import annotations

import glob
import os
from itertools import islice
from typing import ClassVar, NamedTuple

from pg_pool_exporter.blocking.files import FileError, MissingFileError, Stamp, content, stamp
from pg_pool_exporter.blocking.threads import Lane
from pg_pool_exporter.discovery.address_list import (
    MAX_BYTES,
    Address,
    ListError,
    from_json,
    from_yaml,
)
from pg_pool_exporter.discovery.discoverer import Discoverer, Listing

WATCH_SECONDS = 1.0
MAX_FILES = 1000
"""Most files that one pattern stands for."""
MAX_TOTAL_BYTES = 4 * MAX_BYTES
"""Of all of them together: a list in memory is larger than its file."""

_MOST_PROBLEMS = 3
_LISTS = Lane("read-lists", threads=32)


class _File(NamedTuple):
    """A file as it was read last."""

    stamp: Stamp
    listing: Listing
    size: int
    """Of what `listing` was read from, in bytes."""


class FileDiscoverer(Discoverer):
    """The files that a pattern stands for.

    Each is read again when it has changed. One that can't be read, or is wrong, keeps the addresses
    that it had; those of a removed file are removed.
    """

    mechanism: ClassVar[str] = "file_sd"

    def __init__(self, pattern: str) -> None:
        self.key = self.name = pattern
        self._files: dict[str, _File] = {}

    def take_over(self, former: FileDiscoverer) -> None:
        """Know the files as `former` does."""
        self._files = former._files

    async def discover(self) -> Listing:
        """All files' addresses, in the order of the files' names."""
        # The key: later reads wait for one that hangs, after a reload too.
        self._files, problems = await _LISTS.run(self._read_all, key=self.key)
        addresses: list[Address] = []
        for file in self._files.values():
            addresses += file.listing.addresses
            problems += [file.listing.problem] if file.listing.problem else []
        return Listing(tuple(addresses), "; ".join(problems[:_MOST_PROBLEMS]) or None)

    def _read_all(self) -> tuple[dict[str, _File], list[str]]:
        """The files as they are now, and why some of them are left out."""
        matching = glob.iglob(self.name)  # noqa: PTH207 - a pattern can begin anywhere
        paths = list(islice(matching, MAX_FILES + 1))
        problems = [f"stands for more than {MAX_FILES} files"] if len(paths) > MAX_FILES else []
        files: dict[str, _File] = {}
        left = MAX_TOTAL_BYTES
        for path in sorted(paths[:MAX_FILES]):
            file = _read(path, self._files.get(path))
            if file is None:
                continue
            left -= file.size
            if left < 0:
                problems.append(f"stands for more than {MAX_TOTAL_BYTES // 1024} KiB of lists")
                break
            files[path] = file
        return files, problems


def _read(path: str, former: _File | None) -> _File | None:
    """The file as it is now; None when it was removed."""
    # Before the content: a change while it is read shows the next time.
    now = stamp(path)
    if former is not None and now and now == former.stamp:
        return former
    try:
        text = content(path, MAX_BYTES)
        parse = from_json if path.lower().endswith(".json") else from_yaml
        return _File(now, Listing(tuple(parse(text))), len(text))
    except MissingFileError:
        return None
    except FileError as error:
        # Not because of its content: so it is tried again although it has not changed.
        now, problem = (), str(error)
    except ListError as error:
        problem = str(error)
    addresses, size = (former.listing.addresses, former.size) if former is not None else ((), 0)
    name = os.fsencode(path).decode("utf-8", "replace")
    return _File(now, Listing(addresses, f"{name} {problem}"), size)
