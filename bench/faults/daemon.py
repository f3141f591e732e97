"""Faults of the daemon's own process, and of those who scrape it."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from bench.faults.case import Expected, fault
from bench.faults.stand import PASSWORD, Stand, is_up, series_of
from support.busy import within
from support.postgres import wait_until
from support.programs import exporter
from support.wall_clock import WallClock

_PROCESS, _SCRAPERS = "Process", "Scrapers"
_SLOW = Expected(within=60)
"""Unharmed, but only with the slow tests: under libfaketime a daemon starts slowly."""
_GRACE = 5.0
"""Seconds in which it ends on a quiet machine; systemd and Kubernetes wait for 30 and more."""
_GET = b"GET /metrics HTTP/1.1\r\nHost: x\r\n"


@fault(_PROCESS, "its address is taken: a second one ends and names it")
def _taken(stand: Stand) -> Iterator[None]:
    arguments = (f"--web.listen-address={stand.address}", "--socket-dir=")
    done = subprocess.run(
        exporter("run", *arguments), capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode != 0, "it ends with success"
    assert stand.address.rpartition(":")[2] in done.stderr, "it does not name the address"
    yield


@fault(_PROCESS, "SIGTERM while its server hangs: it ends")
def _ends(stand: Stand) -> Iterator[None]:
    with stand.second_daemon() as (address, second):
        stand.cluster.pause_all()
        try:
            up = 'pg_server_up{server="main"}'
            wait_until(lambda: series_of(address).get(up) == 0, "its server hangs")
            begun = time.monotonic()
            second.send_signal(signal.SIGTERM)
            assert second.wait(30) == 0, "it does not end with success"
            assert time.monotonic() - begun < within(_GRACE), "it takes too long to end"
        finally:
            stand.cluster.resume()
    yield


@fault(_PROCESS, "no descriptor left")
def _descriptors(stand: Stand) -> Iterator[None]:
    pid = stand.daemon.pid
    used = [int(one.name) for one in Path(f"/proc/{pid}/fd").iterdir()]
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (max(used) + 1, limits[1]))
    time.sleep(2)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    yield


@fault(_PROCESS, "no descriptor left at a reload: the former configuration stays",
       Expected(series="pg_pool_exporter_config_last_reload_successful",
                cause="exporter_impaired", log="Too many open files"))  # fmt: skip
def _reload_without_descriptors(stand: Stand) -> Iterator[None]:
    pid = stand.daemon.pid
    used = [int(one.name) for one in Path(f"/proc/{pid}/fd").iterdir()]
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (min(used) + 1, limits[1]))
    stand.daemon.send_signal(signal.SIGHUP)
    time.sleep(1)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    yield
    stand.daemon.send_signal(signal.SIGHUP)


@fault(_PROCESS, "a thousand reloads at once (SIGHUP)")
def _many_reloads(stand: Stand) -> Iterator[None]:
    for _ in range(1000):
        stand.daemon.send_signal(signal.SIGHUP)
    yield


@fault(_PROCESS, "libpq's service file a named pipe in its place, at the next login", _SLOW)
def _service_file(stand: Stand) -> Iterator[None]:
    services = stand.directory / "services"
    services.write_text(
        f"[shop]\nhost=127.0.0.1\nport={stand.cluster.port}\nuser=exporter\ndbname=monitored\n"
        f"password={PASSWORD}\n"
    )
    environment = {"PGSERVICEFILE": str(services)}
    with stand.second_daemon(environment, server="service=shop") as (address, _):
        services.unlink()
        os.mkfifo(services)
        stand.end_own_sessions()
        up = 'pg_server_up{server="main"}'
        wait_until(lambda: series_of(address).get(up) == 0, "its server is down")
        assert "but a directory, pipe" in stand.second_log.read_text(), "the log names no pipe"
    services.unlink()
    yield


def _clock_jumps(title: str, seconds: float) -> None:
    """Of a daemon of its own: libfaketime costs much CPU time where the machine is busy."""

    def generator(stand: Stand) -> Iterator[None]:
        clock = WallClock(stand.directory / "clock", cached=True)
        last = 'pg_pool_exporter_last_success_timestamp_seconds{target="main",kind="server"}'
        with stand.second_daemon(environment=clock.environment) as (address, _):
            clock.set(f"{seconds:+.0f}")
            wait_until(
                lambda: abs(series_of(address).get(last, 0.0) - time.time() - seconds) < 600,
                "it polls at the new time",
            )
            wait_until(lambda: is_up(series_of(address)), "all targets stay up")
        yield

    fault(_PROCESS, title, _SLOW, needs="clock")(generator)


_clock_jumps("wall clock an hour ahead", 3600)
_clock_jumps("wall clock 20 years back", -20 * 365 * 86400)


def _connect(stand: Stand, sent: bytes) -> socket.socket:
    host, _, port = stand.address.rpartition(":")
    client = socket.create_connection((host, int(port)), timeout=5)
    client.sendall(sent)
    return client


@fault(_SCRAPERS, "100 that never read their answer")
def _slow(stand: Stand) -> Iterator[None]:
    with ExitStack() as clients:
        for _ in range(100):
            clients.enter_context(_connect(stand, _GET + b"\r\n"))
        yield


@fault(_SCRAPERS, "100 that never finish their request")
def _unfinished(stand: Stand) -> Iterator[None]:
    with ExitStack() as clients:
        for _ in range(100):
            clients.enter_context(_connect(stand, _GET + b"X-Slow: "))
        yield


@fault(_SCRAPERS, "half-closed: it gets its answer")
def _half_closed(stand: Stand) -> Iterator[None]:
    with _connect(stand, _GET + b"Connection: close\r\n\r\n") as client:
        client.shutdown(socket.SHUT_WR)
        assert client.recv(99).startswith(b"HTTP/1.1 200"), "it gets none"
    yield


@fault(_SCRAPERS, "no HTTP: it gets an error")
def _garbage(stand: Stand) -> Iterator[None]:
    with _connect(stand, os.urandom(64) + b"\r\n\r\n") as client:
        assert b" 400 " in client.recv(99), "it gets no status 400"
    yield
