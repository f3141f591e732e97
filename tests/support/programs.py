"""Programs that tests start: the exporter's command, and servers from Debian's packages."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from pg_pool_exporter.commands.demo.postgres import wait_until

PROMETHEUS = Path("/usr/bin/prometheus")
PROMTOOL = Path("/usr/bin/promtool")


def free_port() -> int:
    """A port of 127.0.0.1 that nothing uses now.

    Linux gives ports from 32768 on to connections: one of those could be taken before the server
    that it is meant for starts.
    """
    while True:
        port = random.randrange(15_000, 32_768)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def fetch(url: str, headers: Mapping[str, str] | None = None) -> str:
    """The body at `url`."""
    request = urllib.request.Request(url, headers=dict(headers or {}))
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            text: str = response.read().decode()
            return text
    except urllib.error.HTTPError as error:
        error.close()
        raise


def answers(url: str) -> bool:
    """Whether `url` answers with success."""
    try:
        fetch(url)
    except OSError:
        return False
    return True


@contextmanager
def running(
    command: Sequence[str | Path],
    *,
    log: Path,
    environment: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
    directory: Path | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that writes its output to `log`, ended by SIGTERM when the block is left.

    It runs in `directory`, else in that of the tests.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, stdin=stdin, stdout=output, stderr=output, cwd=directory,
            env={**os.environ, **(environment or {})},
        )  # fmt: skip
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        finally:
            process.kill()
            process.wait()
            if process.stdin is not None:
                process.stdin.close()


def exporter(*arguments: str) -> list[str]:
    """The command `pg-pool-exporter` with its arguments."""
    return [sys.executable, "-m", "pg_pool_exporter", *arguments]


class Prometheus:
    """A real Prometheus that scrapes `targets` (HOST:PORT) each second by default.

    `rules` are files; `lookback` is how many seconds an old sample counts as the present; `labels`
    are added to all series of the targets; `program` is another one than Debian's.
    """

    def __init__(
        self,
        directory: Path,
        *targets: str,
        interval: float = 1.0,
        rules: Sequence[Path] = (),
        lookback: float = 300.0,
        labels: Mapping[str, str] | None = None,
        program: Path = PROMETHEUS,
    ) -> None:
        self._program = program
        self._labels = dict(labels or {})
        self._directory = directory
        self._targets = targets
        self._interval = f"{interval * 1000:.0f}ms"
        self._rules = [str(path) for path in rules]
        self._lookback = f"{lookback * 1000:.0f}ms"
        self._url = f"http://127.0.0.1:{free_port()}"

    def __enter__(self) -> Self:
        config = self._directory / "prometheus.yml"
        config.write_text(
            json.dumps(
                {
                    "global": {
                        "scrape_interval": self._interval,
                        "scrape_timeout": self._interval,
                        "evaluation_interval": self._interval,
                    },
                    "rule_files": self._rules,
                    "scrape_configs": [
                        {
                            "job_name": "pools",
                            "static_configs": [{"targets": self._targets, "labels": self._labels}],
                        }
                    ],
                }
            )
        )
        self._context = running(
            [self._program, f"--config.file={config}",
             f"--storage.tsdb.path={self._directory}/data",
             f"--web.listen-address={self._url.removeprefix('http://')}",
             f"--query.lookback-delta={self._lookback}"],
            log=self._directory / "prometheus.log",
        )  # fmt: skip
        self._context.__enter__()
        wait_until(lambda: answers(f"{self._url}/-/ready"), "Prometheus is ready")
        return self

    def __exit__(self, *_exception: object) -> None:
        self._context.__exit__(None, None, None)

    @property
    def url(self) -> str:
        """Where it answers."""
        return self._url

    def get(self, path: str, **parameters: str | float) -> Any:
        """The data at `path` of its API."""
        query = urllib.parse.urlencode(parameters)
        return json.loads(fetch(f"{self._url}/api/v1/{path}?{query}"))["data"]

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """The instant vector that `expression` gives now, as labels and values."""
        found = self.get("query", query=expression)["result"]
        return [(one["metric"], float(one["value"][1])) for one in found]

    def value(self, expression: str) -> float | None:
        """The value of `expression` where it gives one series, else None."""
        found = self.query(expression)
        return found[0][1] if len(found) == 1 else None


def seconds_until(condition: Any, what: str, deadline: float) -> float:
    """How long it took until `condition()` was true; raises `TimeoutError` after `deadline` s."""
    start = time.monotonic()
    wait_until(condition, what, deadline)
    return time.monotonic() - start


def run_command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        exporter(*arguments),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, **environment},
    )
