"""Sockets that systemd has opened for this process (socket activation).

The protocol: https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from pg_pool_exporter.web.server import ListenError

MOST = 64
_FIRST = 3  # SD_LISTEN_FDS_START


def passed_sockets(environ: Mapping[str, str]) -> list[socket.socket]:
    """The sockets, which listen. Raises `ListenError` where there is none, or one is unusable."""
    count = environ.get("LISTEN_FDS", "")
    if environ.get("LISTEN_PID") != str(os.getpid()) or not count.isdecimal() or int(count) < 1:
        raise ListenError(
            "--web.systemd-socket: systemd has passed no socket: is a .socket unit of the service "
            "started?"
        )
    if int(count) > MOST:
        raise ListenError(f"--web.systemd-socket: more than {MOST} sockets were passed")
    return [_listener(number) for number in range(_FIRST, _FIRST + int(count))]


def _listener(number: int) -> socket.socket:
    try:
        listener = socket.socket(fileno=number)
        listens = listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise ListenError(f"--web.systemd-socket: descriptor {number}: {reason}") from None
    if listener.family not in (socket.AF_INET, socket.AF_INET6) or not listens:
        listener.close()
        raise ListenError(
            f"--web.systemd-socket: descriptor {number} is no TCP socket that listens: set "
            "ListenStream= to a port in the .socket unit"
        )
    # Not for the programs of password_command.
    listener.set_inheritable(False)
    return listener
