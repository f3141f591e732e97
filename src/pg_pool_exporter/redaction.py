"""Passwords out of texts that somebody else wrote: the last line of defence, not the first.

Our own messages never hold a secret. Those of libraries, and values in the wrong place, may.
"""

from __future__ import annotations

import re

HIDDEN = "***"

# A path that was meant as a URL has lost one of its slashes.
_IN_URL = re.compile(r"(:/{1,2}[^\s:/@]*):\S*@")
_IN_PAIR = re.compile(r"(?i)(password|passwd|secret|token)(\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s&]+)")


def redact(text: str) -> str:
    """`text` with passwords in URLs and in `password=…` pairs replaced by `***`."""
    return _IN_PAIR.sub(rf"\1\2{HIDDEN}", _IN_URL.sub(rf"\1:{HIDDEN}@", text))
