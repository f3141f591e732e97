"""What commands print, and the exit codes that they end with."""

from __future__ import annotations

import sys

from pg_pool_exporter.redaction import redact

SUCCESS, FAILURE, WRONG, INTERRUPTED = 0, 1, 2, 130
"""Done; failed; command line, environment or configuration wrong; interrupted."""


def write(text: str) -> None:
    """Print `text` to standard output, in UTF-8 whatever the terminal's language is."""
    sys.stdout.buffer.write(text.encode())
    sys.stdout.flush()


def complain(message: str) -> None:
    """Print `message` to standard error, without secrets."""
    sys.stderr.write(redact(message) + "\n")


def count(number: int, noun: str) -> str:
    """Such as `1 server` or `2 servers`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
