"""Finds messages in languages that the server's settings do not name.

The variable `LANGUAGE` overrides `lc_messages` without a trace, and so do settings that the
exporter may not see. What nobody looks for would be counted as 0.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from pg_pool_exporter.sources.server_log.messages import languages, messages

# What precedes a message in each format, and as much of it as a look-up needs.
_KEY_BYTES = 8
_MESSAGE = re.compile(
    rb'(?::  (?:[0-9A-Z]{5}: )?|,[0-9A-Z]{5},"|"message":")(?=([^\n]{%d}))' % _KEY_BYTES
)


class OtherLanguages:
    """All languages but those `spoken`, and English."""

    def __init__(self, spoken: Collection[str]) -> None:
        known = {one.start for one in messages(spoken)}
        self._starts: dict[bytes, list[tuple[bytes, str]]] = {}
        for name in languages():
            for one in messages([name]):
                start = one.start
                if len(start) >= _KEY_BYTES and start not in known:
                    self._starts.setdefault(start[:_KEY_BYTES], []).append((start, name))

    def find(self, data: bytes, start: int, end: int) -> set[str]:
        """Those of which a message that is counted begins in `data[start:end]`."""
        found: set[str] = set()
        for message in _MESSAGE.finditer(data, start, end):
            for text, name in self._starts.get(message[1], ()):
                if data.startswith(text, message.end()):
                    found.add(name)
        return found
