"""Fixtures that several test files use: real PostgreSQL servers, instrumented pools.

Tests see nothing of the machine that they run on: no variables of ours, of libpq or of a proxy, and
no instrumented processes but their own.
"""

from __future__ import annotations

import gc
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from psycopg_pool import ConnectionPool

from pg_pool_exporter.client import instrument
from pg_pool_exporter.client.process import Process
from pg_pool_exporter.client.serving import listeners, server
from pg_pool_exporter.sockets import ENVIRONMENT
from support import remote_pools
from support.client import own_process, page_of
from support.pgbouncer import NEWER, PGBOUNCER
from support.polling import SECRET
from support.postgres import (
    EMBEDDED_16,
    EMBEDDED_18,
    OTHER_VERSIONS,
    Cluster,
    system_bindirs,
    wait_until,
)
from support.promtool import PROMTOOLS

_MISSING = pytest.param(None, id="debian", marks=pytest.mark.debian)
_SYSTEM = [
    pytest.param(bindir, id=f"debian-{bindir.parent.name}", marks=pytest.mark.debian)
    for bindir in system_bindirs()
]
_ANY = [
    pytest.param(EMBEDDED_16, id="embedded-16"),
    pytest.param(EMBEDDED_18, id="embedded-18"),
    *(_SYSTEM or [_MISSING]),
]
_EVERY = [
    *_ANY,
    *(
        pytest.param(bindir, id=f"version-{version}", marks=pytest.mark.slow)
        for version, bindir in OTHER_VERSIONS.items()
    ),
]


_FOREIGN = re.compile(r"PG(?!PE_)|((https?|all)_proxy$)", re.IGNORECASE)
# At once, and in each of pytest's worker processes: before anything reads them.
for _name in [*os.environ]:
    if _FOREIGN.match(_name):
        del os.environ[_name]


# On a busy machine any example can take long.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


def pytest_make_parametrize_id(val: object) -> str | None:
    """The beginning and the length of a long value: a page of 17 MB filled CI's log with its id.

    pytest numbers those that begin alike.
    """
    if isinstance(val, str | bytes) and len(val) > 100:
        begin = val[:40] if isinstance(val, str) else val[:40].decode("latin-1")
        return f"{begin.encode('unicode_escape').decode()}... ({len(val)})"
    return None


def require(present: object, what: str) -> None:
    """Skip the test when `what` is missing; fail it in CI, where everything must be there."""
    if present:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is missing, and CI must have it")
    pytest.skip(f"{what} is missing")


@pytest.fixture(scope="session", autouse=True)
def socket_directories() -> Iterator[Iterator[str]]:
    """Names of socket directories that do not exist yet; short, as a socket's path must be."""
    with (
        tempfile.TemporaryDirectory(prefix="pgpe-sockets-") as parent,
        pytest.MonkeyPatch.context() as monkeypatch,
    ):
        names = (f"{parent}/{number}" for number in count())
        monkeypatch.setenv(ENVIRONMENT, next(names))
        yield names


@pytest.fixture(autouse=True)
def own_socket_directory(
    socket_directories: Iterator[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test and what it starts find no processes but their own."""
    monkeypatch.setenv(ENVIRONMENT, next(socket_directories))


@pytest.fixture(scope="module", autouse=True)
def old_objects_are_left_alone() -> None:
    """The garbage collector looks at what the module makes, not at all collected tests again.

    There are 370,000 objects of those. Looking at them took half of the time of most files, and
    counted in what a test measures.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def programs_end_with_their_module() -> Iterator[None]:
    """Pools of other languages leave no sessions on the server that all tests share."""
    yield
    remote_pools.end_programs()


@pytest.fixture(scope="session")
def shared_cluster() -> Iterator[Callable[[Path], Cluster]]:
    """Gives the one server of a `bindir` that all tests of the session share."""
    running: dict[Path, Cluster] = {}
    with ExitStack() as stack:

        def get(bindir: Path) -> Cluster:
            if bindir not in running:
                running[bindir] = stack.enter_context(Cluster(bindir))
            return running[bindir]

        yield get


@pytest.fixture(scope="session")
def postgres(shared_cluster: Callable[[Path], Cluster]) -> Cluster:
    """A running PostgreSQL 16, shared: leave it as you found it."""
    return shared_cluster(EMBEDDED_16)


@pytest.fixture(scope="session", params=_ANY)
def any_postgres(
    request: pytest.FixtureRequest, shared_cluster: Callable[[Path], Cluster]
) -> Cluster:
    """A running PostgreSQL of each version at hand, shared: leave it as you found it."""
    require(request.param, "PostgreSQL from Debian's packages")
    return shared_cluster(request.param)


@pytest.fixture(scope="session", params=_EVERY)
def every_postgres(
    request: pytest.FixtureRequest, shared_cluster: Callable[[Path], Cluster]
) -> Cluster:
    """A running PostgreSQL of each version that is supported, shared: leave it as you found it.

    For tests of statements that differ between versions, or read what does.
    """
    require(
        request.param and request.param.exists(),
        "PostgreSQL from Debian's packages, or from `make servers`",
    )
    return shared_cluster(request.param)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A running PostgreSQL 16 of the test's own, to break."""
    with Cluster(EMBEDDED_16) as own:
        yield own


@pytest.fixture(scope="module")
def locked() -> Iterator[Cluster]:
    """A running PostgreSQL 16 on which the role `exporter` needs its password, `SECRET`."""
    with Cluster(EMBEDDED_16) as own:
        own.run(f"CREATE ROLE exporter LOGIN PASSWORD '{SECRET}'")
        own.hba(["host all exporter all scram-sha-256"])
        yield own


@pytest.fixture
def pool(postgres: Cluster) -> Iterator[ConnectionPool[Any]]:
    """An open pool of an application, with two connections."""
    with ConnectionPool(postgres.dsn(), min_size=2, open=True) as pool:
        pool.wait()
        yield pool


@pytest.fixture
def client_process(tmp_path: Path) -> Iterator[Process]:
    """The client of a process that has just begun, with `tmp_path` for its socket."""
    with own_process(tmp_path) as process:
        yield process


@pytest.fixture
def shop(
    client_process: Process,
    pool: ConnectionPool[Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Process:
    """The client of a process whose `pool` is instrumented and whose page is served.

    What it looks for every few seconds it looks for at once.
    """
    monkeypatch.setattr(listeners, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(server, "READER_SECONDS", 0.2)
    monkeypatch.setattr(server.Server, "timeout", 0.05)
    instrument(pool, app="shop", name="main")
    wait_until(lambda: page_of(tmp_path / "shop-0.sock"), "the page is served")
    return client_process


@pytest.fixture(params=PROMTOOLS)
def promtool(request: pytest.FixtureRequest) -> Path:
    """promtool of each major version of Prometheus."""
    path = PROMTOOLS[request.param]
    require(path and path.exists(), f"promtool of Prometheus {request.param}")
    assert path is not None
    return path


@pytest.fixture(params=["18", "NEWEST"])
def pgbouncer(request: pytest.FixtureRequest) -> Path:
    """The program of the oldest and of the newest PgBouncer at hand."""
    path = PGBOUNCER if request.param == "18" else NEWER[request.param]
    require(path and path.exists(), f"PgBouncer {request.param} (`.ci/newer_pgbouncer`)")
    assert path is not None
    return path


@pytest.fixture(scope="module")
def app_cluster() -> Iterator[Cluster]:
    """A server of the module's own, with the role of a bouncer's clients."""
    with Cluster(EMBEDDED_16) as own:
        own.run("CREATE ROLE app LOGIN")
        yield own
