"""Output of the commands, and their exit codes."""

from __future__ import annotations

import shutil
import sys

from pg_pool_exporter.redaction import printable_lines, redact

SUCCESS, FAILURE, WRONG, INTERRUPTED = 0, 1, 2, 130
"""Done; failed; command line, environment or configuration wrong; interrupted."""

_WIDEST, _NARROWEST = 110, 40


def write(text: str, *, styled: bool = False) -> None:
    """Print `text` to standard output, in UTF-8 whatever the terminal's language is.

    Names and messages from outside are in most texts, so terminal escapes are replaced; not if
    `styled`: then the text has our own escapes, and those from outside are replaced already.
    """
    sys.stdout.buffer.write((text if styled else printable_lines(text)).encode())
    sys.stdout.flush()


def complain(message: str) -> None:
    """Print `message` to standard error, without secrets and terminal escapes."""
    sys.stderr.write(printable_lines(redact(message)) + "\n")


def count(number: int, noun: str) -> str:
    """Such as `1 server` or `2 servers`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def width() -> int:
    """Columns of the terminal to fill; some 100 where there is none."""
    return max(_NARROWEST, min(_WIDEST, shutil.get_terminal_size((_WIDEST, 24)).columns))
