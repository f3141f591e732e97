"""What the client's tests share: instrumented pools read without a page, pages, applications."""

from __future__ import annotations

import gc
import http.client
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pg_pool_exporter.client import api
from pg_pool_exporter.client.libraries import adapter
from pg_pool_exporter.client.options import PoolOptions
from pg_pool_exporter.client.process import Process
from pg_pool_exporter.client.registry import Registry
from pg_pool_exporter.client.serving import applications, collector
from pg_pool_exporter.client.tracker import Tracker
from pg_pool_exporter.model import PoolSample
from pg_pool_exporter.sockets import ENVIRONMENT

APPS = Path(__file__).parent.parent / "apps"

_EVENTS = ("slots lost: ", "checkouts overdue: ")
"""How lines begin that the client logs of leaks, at standard error where nothing is configured."""

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def only_totals(samples: Iterable[PoolSample]) -> bool:
    """Whether no pool is open: the totals of closed ones go on."""
    return all((one.idle, one.active, one.max) == (0, 0, None) for one in samples)


class Watched:
    """A pool that is instrumented and read here, without a page or a socket."""

    tracker: Tracker

    def __init__(
        self, pool: Any, *, leak_after: float = 60.0, clock: Callable[[], float] = monotonic
    ) -> None:
        def make(**options: Any) -> Tracker:
            self.tracker = Tracker(**options, clock=clock)
            return self.tracker

        self.registry = Registry()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(adapter, "Tracker", make)
            self._add(pool, leak_after)

    def _add(self, pool: Any, leak_after: float) -> None:
        self.registry.add(pool, PoolOptions(app="shop", name="main", leak_after=leak_after))

    def sample(self) -> PoolSample:
        """One reading of the pool."""
        (sample,) = self.registry.samples("host:0")
        return sample

    def is_clean(self) -> bool:
        """Whether nothing is out, lost or overdue, with all garbage collected."""
        gc.collect()
        sample = self.sample()
        lost = (sample.leaked or 0, sample.leaked_slots, sample.unaccounted or 0)
        shown = (sample.active, sample.overdue, lost)
        return shown == (0, {}, (0, {}, 0)) and sample.acquired == sample.returned


def series(page: str) -> Series:
    """The samples of a page, which must be valid and without duplicates."""
    found: Series = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in found, f"twice on the page: {key}"
            found[key] = sample.value
    return found


def values(page: str, name: str, **labels: str) -> list[float]:
    """The values of the series `name` that have `labels`."""
    wanted = set(labels.items())
    return [value for (metric, has), value in series(page).items()
            if metric == name and wanted <= has]  # fmt: skip


def labels(page: str, name: str, label: str) -> list[str]:
    """The values that `label` has in the series `name`, sorted."""
    return sorted(dict(has).get(label, "") for metric, has in series(page) if metric == name)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(str(self._path))


def request(
    where: Path | int, method: str = "GET", path: str = "/metrics"
) -> tuple[int, Mapping[str, str], str]:
    """Status, headers (in lower case) and body of an answer from a unix socket, or a local port."""
    connection: http.client.HTTPConnection
    if isinstance(where, Path):
        connection = _UnixConnection(where)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", where, timeout=10)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return response.status, headers, response.read().decode()
    finally:
        connection.close()


def page_of(where: Path | int) -> str:
    """The page that is served at a unix socket or a local port; empty while nobody answers."""
    try:
        status, _, body = request(where)
    except OSError:
        return ""
    return body if status == 200 else ""


def run_app(name: str, *arguments: str, directory: Path, seconds: float = 30.0) -> Any:
    """Run an application of tests/apps to its end, give the JSON that it prints.

    It must end with success, say nothing on its standard error but of leaks, and do so within
    `seconds`.
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", APPS / f"{name}.py", *arguments],
        env={**os.environ, ENVIRONMENT: str(directory), "PYTHONPATH": str(APPS.parent)},
        capture_output=True, text=True, timeout=seconds, check=False,
    )  # fmt: skip
    said = [line for line in done.stderr.splitlines() if not line.startswith(_EVENTS)]
    assert (done.returncode, said) == (0, []), done.stderr
    return json.loads(done.stdout)


@contextmanager
def own_process(directory: Path) -> Iterator[Process]:
    """The client of a process that has just begun, with `directory` for its socket."""
    process = Process()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ENVIRONMENT, str(directory))
        for module in (api, applications, collector):
            patch.setattr(module, "PROCESS", process)
        try:
            yield process
        finally:
            process.close()


@contextmanager
def no_collection() -> Iterator[None]:
    """Keep the cyclic collector off: what goes away in the block goes by its last reference."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
