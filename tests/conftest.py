"""Fixtures that several test files use: real PostgreSQL servers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.polling import SECRET
from support.postgres import EMBEDDED_16, EMBEDDED_18, Cluster, system_bindirs

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


def require(present: object, what: str) -> None:
    """Skip the test when `what` is missing; fail it in CI, where everything must be there."""
    if present:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is missing, and CI must have it")
    pytest.skip(f"{what} is missing")


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
