"""Starts the demonstration and shows its live table.

A PostgreSQL server, applications and the exporter: one process each, all stopped at the end, and
their files removed.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType

from pg_pool_exporter.commands.demo.postgres import ThrowAwayPostgres, embedded_binaries
from pg_pool_exporter.commands.demo.scenarios import SCENARIOS, Scenario
from pg_pool_exporter.commands.demo.table import table
from pg_pool_exporter.commands.options import PREFIX, PROGRAM, Options, UsageError
from pg_pool_exporter.commands.output import FAILURE, SUCCESS, complain, write

_REFRESH_SECONDS = 2.0
_START_SECONDS = 20.0
_STOP_SECONDS = 10.0
_DEFAULT_ADDRESS = "127.0.0.1:10432"
_ENDING = (signal.SIGTERM, signal.SIGHUP)
_CLEAR = "\x1b[H\x1b[J"

_CONFIG = """\
state_dir: ""
thresholds:
  idle_in_transaction: 10s
processes:
  interval: 1s
servers:
  - name: demo
    dsn: "{dsn}"
    interval: 1s
    timeout: 1s
    facts:
      client_networks: true
      wait_events: true
      idle_in_transaction: true
      snapshots: true
    log:
      files: ["{log}"]
      interval: 1s
"""
# The log must have these, so that sessions and timeouts are counted by database.
_LOGGED = {
    "log_connections": "on",
    "log_disconnections": "on",
    "log_line_prefix": "%m [%p] %q%u@%d ",
}


class DemoError(Exception):
    """The demonstration cannot go on; the message has the reason."""


def main(options: Options) -> int:
    """Run until Ctrl-C, or for the duration in `options`; the exit code.

    Raises `UsageError`. Other errors are printed.
    """
    addresses = options.web_listen_address or (_DEFAULT_ADDRESS,)
    if len(addresses) > 1:
        raise UsageError("demo serves on one --web.listen-address")
    try:
        with _interruptible(), ExitStack() as stack:
            _run(stack, str(addresses[0]), options.duration, SCENARIOS[options.demo_scenario])
    except KeyboardInterrupt:
        pass
    except (DemoError, OSError, RuntimeError, subprocess.CalledProcessError) as error:
        complain(f"{PROGRAM} demo: {error}")
        return FAILURE
    with suppress(OSError):  # the terminal may be closed
        print("Stopped; nothing is left behind.", flush=True)
    return SUCCESS


def _run(stack: ExitStack, listen_address: str, duration: float | None, scenario: Scenario) -> None:
    # Without a host it listens on all addresses; a client needs one.
    host, _, port = listen_address.rpartition(":")
    host = host or "127.0.0.1"
    _check_free(host.strip("[]"), port)
    print("Starting PostgreSQL, applications and the exporter ...", flush=True)
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pgpe-demo-")))
    postgres = stack.enter_context(
        ThrowAwayPostgres(embedded_binaries(), settings={**_LOGGED, **scenario.settings})
    )
    sockets = directory / "sockets"
    sockets.mkdir()
    config = directory / "config.yaml"
    config.write_text(_CONFIG.format(dsn=_dsn(postgres), log=postgres.log_file))
    log = directory / "exporter.log"
    daemon = _start(
        stack, log,
        ["pg_pool_exporter", "run", f"--config.file={config}", f"--socket-dir={sockets}",
         f"--web.listen-address={listen_address}"],
    )  # fmt: skip
    for app in scenario.apps:
        dsn = f"{_dsn(postgres)} application_name={app.name}"
        _start(
            stack, directory / f"{app.name}.log", [app.module, app.kind, dsn, *app.more],
            PG_POOL_EXPORTER_SOCKET_DIR=str(sockets),
        )  # fmt: skip
    address = f"http://{host}:{port}"
    _wait_for(f"{address}/metrics", daemon, log)
    places = (
        f"Findings:   {address}/\nMetrics:    {address}/metrics\n"
        f"PostgreSQL: psql '{_dsn(postgres)}'"
    )
    _show(
        address, places, None if duration is None else time.monotonic() + duration, scenario.story
    )


def _check_free(host: str, port: str) -> None:
    """Raise `DemoError` if the address is in use: another exporter would answer instead of ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, int(port)), family=family).close()
    except (OSError, ValueError) as error:
        raise DemoError(
            f"cannot serve on {host}:{port}: {_reason(error)}; choose another address with "
            "--web.listen-address=HOST:PORT, or make demo ADDRESS=HOST:PORT"
        ) from None


def _reason(error: OSError | ValueError) -> str:
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)


def _show(address: str, places: str, end: float | None, story: str) -> None:
    lively = sys.stdout.isatty()
    while end is None or time.monotonic() < end:
        page = _page(f"{address}/metrics")
        shown = f"{places}\n\n{table(page)}\n\n{story} Ctrl-C ends.\n\n"
        write(f"{_CLEAR if lively else ''}{shown}", styled=True)
        left = _REFRESH_SECONDS if end is None else end - time.monotonic()
        time.sleep(max(0.0, min(_REFRESH_SECONDS, left)))


def _page(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 - our own address
        text: str = response.read().decode()
        return text


def _wait_for(url: str, daemon: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _START_SECONDS
    while True:
        if daemon.poll() is not None:
            raise DemoError(f"the exporter did not start:\n{log.read_text(errors='replace')}")
        try:
            if "pg_pool_connections{" in _page(url):
                return
        except OSError:  # not yet
            pass
        if time.monotonic() > end:
            raise DemoError(f"no metrics of a pool at {url} after {_START_SECONDS:.0f} s")
        time.sleep(0.1)


def _start(
    stack: ExitStack, log: Path, module: Sequence[str], **environment: str
) -> subprocess.Popen[bytes]:
    """Start `python -m module`; `stack` ends it."""
    # The caller's settings of the exporter are not meant for the demonstration.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    with log.open("wb") as output:
        # A session of its own: Ctrl-C reaches only us, and we stop the processes in order.
        process = subprocess.Popen(
            [sys.executable, "-m", *module],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            env={**inherited, **environment},
        )  # fmt: skip
    stack.callback(_stop, process)
    return process


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _dsn(postgres: ThrowAwayPostgres) -> str:
    return f"host={postgres.directory} user=postgres dbname=postgres"


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM and SIGHUP (terminal closed) raise `KeyboardInterrupt`, as Ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
