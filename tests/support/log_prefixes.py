"""Lines as PostgreSQL writes them with any `log_line_prefix`, for any names."""

from __future__ import annotations

import re
from typing import NamedTuple

ESCAPE = re.compile(r"%(-?\d*)(.)")


class Session(NamedTuple):
    """Who a session is of, and where it comes from."""

    user: str
    database: str
    application: str = "psql"
    host: str = "10.0.0.7"
    pid: int = 4711


def line(
    prefix: str, session: Session | None, severity: str, message: str, code: str = "00000"
) -> bytes:
    """A record of the session, or of a process that is none."""
    values = {
        "p": str(session.pid if session else 1),
        "t": "2026-11-24 10:00:00 UTC",
        "m": "2026-11-24 10:00:00.123 UTC",
        "s": "2026-11-24 09:59:00 UTC",
        "n": "1795516277.123",
        "c": f"65f0a1b2.{session.pid if session else 1:x}",
        "l": "3",
        "e": code,
        "x": "0",
        "v": "3/17" if session else "",
        "Q": "-5",
        "P": "",
        "b": "client backend" if session else "checkpointer",
    }
    of_session = {
        "u": session.user if session else "",
        "d": session.database if session else "",
        "a": (session.application or "[unknown]") if session else "",
        "h": session.host if session else "",
        "r": f"{session.host}(50000)" if session else "",
        "L": "",
        "i": "idle" if session else "",
    }

    def value(found: re.Match[str]) -> str:
        padding, name = found.groups()
        if name == "%":
            return "" if padding else "%"
        text = {**values, **of_session}.get(name)
        if text is None:
            return ""
        width = int(padding) if padding.strip("-") else 0
        return text.ljust(-width) if width < 0 else text.rjust(width)

    head, rest = prefix, ""
    if "%q" in prefix:
        head, rest = prefix.split("%q", 1)
    text = ESCAPE.sub(value, head + (rest if session else ""))
    text += f"{severity}:  " + message.replace("\n", "\n\t")
    return f"{text}\n".encode()
