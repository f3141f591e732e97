"""A real gunicorn: each worker shows its own pool, a successor goes on where one was killed."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pg_pool_exporter.sockets import ENVIRONMENT
from support.client import APPS, labels, page_of, request, values
from support.postgres import Cluster, wait_until
from support.programs import free_port, running

_WORKERS = 3


class Shop:
    """A running gunicorn, and how often each of its workers has answered."""

    def __init__(self, directory: Path, port: int, page_port: int, master: int) -> None:
        self._directory = directory
        self._port = port
        self.page_port = page_port
        self.master = master
        self.served: Counter[int] = Counter()

    def use(self) -> None:
        """One request, served by any of the workers."""
        try:
            status, _, body = request(self._port, path="/")
        except OSError:
            return
        if status == 200:
            self.served[int(body)] += 1

    def workers(self) -> set[int]:
        children = Path(f"/proc/{self.master}/task/{self.master}/children").read_text()
        return {int(pid) for pid in children.split()}

    def all_used(self) -> bool:
        """Ask once more; whether each of the workers that run now has answered."""
        self.use()
        running = self.workers()
        return len(running) == _WORKERS and running <= set(self.served)

    def pages(self) -> dict[int, str]:
        """The page of each process that has a socket and answers, by its pid."""
        found = [page for path in self._directory.glob("*.sock") if (page := page_of(path))]
        return {int(labels(page, "pg_pool_info", "pid")[0]): page for page in found}


@contextmanager
def gunicorn(postgres: Cluster, directory: Path, preload: bool) -> Iterator[Shop]:
    sockets = directory / "sockets"
    port, page_port = free_port(), free_port()
    environment = {
        ENVIRONMENT: str(sockets), "SHOP_DSN": postgres.dsn(), "PAGE_PORT": str(page_port),
        "XDG_RUNTIME_DIR": str(directory),  # gunicorn has a socket of its own there
        **({"SHOP_PRELOAD": "1"} if preload else {}),
    }  # fmt: skip
    command = [
        sys.executable, "-m", "gunicorn", "--workers", str(_WORKERS), "--chdir", str(APPS),
        "--bind", f"127.0.0.1:{port}",
        *(["--preload"] if preload else []), "gunicorn_shop:application",
    ]  # fmt: skip
    log = directory / "log"
    with running(command, log=log, environment=environment) as process:
        shop = Shop(sockets, port, page_port, process.pid)
        try:
            wait_until(shop.all_used, "every worker has served a request")
            yield shop
        except TimeoutError:
            sys.stderr.write(log.read_text())
            raise


def process_of(page: str) -> str:
    (process,) = labels(page, "pg_pool_info", "process")
    return process


@pytest.mark.parametrize("preload", [False, True], ids=["own pools", "preloaded pool"])
def test_each_worker_shows_its_own_numbers_and_a_successor_takes_its_place(
    postgres: Cluster, tmp_path: Path, preload: bool
) -> None:
    host = socket.gethostname()
    with gunicorn(postgres, tmp_path, preload) as shop:
        wait_until(lambda: set(shop.pages()) >= shop.workers(), "every worker has a page")
        pages = shop.pages()
        masters = {shop.master} if preload else set()
        assert set(pages) == shop.workers() | masters
        assert {process_of(page) for page in pages.values()} == {
            f"{host}:{number}" for number in range(_WORKERS + preload)
        }
        for pid in shop.workers():
            assert values(pages[pid], "pg_pool_acquired_total") == [shop.served[pid]]
            assert values(pages[pid], "pg_pool_connects_total") == [1]
        for pid in masters:
            assert values(pages[pid], "pg_pool_acquired_total") == [0]

        whole = page_of(shop.page_port)
        assert labels(whole, "pg_pool_info", "pid") == sorted(map(str, pages))
        assert sum(values(whole, "pg_pool_acquired_total")) == shop.served.total()

        killed = next(iter(shop.workers()))
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: killed not in shop.workers(), "it is dead")
        wait_until(shop.all_used, "its successor has served a request")
        wait_until(lambda: set(shop.pages()) >= shop.workers(), "its successor has a page")
        (successor,) = shop.workers() - set(pages)
        after = shop.pages()
        assert process_of(after[successor]) == process_of(pages[killed])
        assert values(after[successor], "pg_pool_acquired_total") == [shop.served[successor]]
        wait_until(
            lambda: str(successor) in labels(page_of(shop.page_port), "pg_pool_info", "pid"),
            "the port shows all of them, whoever had it",
        )
        assert str(killed) not in labels(page_of(shop.page_port), "pg_pool_info", "pid")
    assert list((tmp_path / "sockets").glob("*.sock")) == []
