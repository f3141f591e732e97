"""What each library shows of its pool, on a real PostgreSQL, against what was done to the pool."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from conftest import require
from support.applications import CLIENTS, Application
from support.libraries import LIBRARIES, SIZE, Library
from support.postgres import Cluster

ALL = [
    pytest.param(library, id=name, marks=getattr(pytest.mark, library.toolchain))
    for name, library in LIBRARIES.items()
]


@pytest.fixture
def start(postgres: Cluster, tmp_path: Path) -> Iterator[Callable[..., Application]]:
    """Starts the application of a library, which must have been built."""
    with ExitStack() as stack:

        def run(library: Library, **environment: str) -> Application:
            require(shutil.which(library.toolchain), f"the toolchain {library.toolchain}")
            built = CLIENTS / library.directory / library.built
            require(built.exists(), f"what .ci/run builds in tests/clients/{library.directory}")
            return stack.enter_context(Application(library, postgres, tmp_path, **environment))

        yield run


@pytest.mark.parametrize("library", ALL)
def test_each_state_of_the_pool_is_shown(
    library: Library, start: Callable[[Library], Application]
) -> None:
    application = start(library)
    application.take(3)
    application.give()
    application.assert_shown()
    application.take(3)
    application.assert_shown()
    assert application.truth.active == SIZE
    application.ask(2)
    application.assert_shown()
    application.give()
    application.assert_shown()
    application.take_in_vain()
    application.assert_shown()
    application.give(SIZE)
    sample = application.assert_shown()
    application.assert_times(sample)
    assert application.truth.timeouts == 2


@pytest.mark.parametrize("library", ALL)
def test_a_connection_that_is_never_returned_stays_active(
    library: Library, start: Callable[[Library], Application]
) -> None:
    application = start(library)
    application.take()
    application.forget()
    application.give()
    application.take(2)
    application.give(2)
    assert application.truth.active == 1
    first = application.assert_shown(library.format)
    assert application.assert_shown(library.format).active == first.active
