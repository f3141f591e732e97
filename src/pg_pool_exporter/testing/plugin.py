"""pytest plugin: a test that leaves connections checked out fails, and names the line.

Does nothing by default. It checks all tests by `--pg-pool-leaks` or `pg_pool_leaks = true` in
pytest's settings, for some by the marker `pg_pool_leaks`. `pg_pool_leaks(False)` leaves tests out.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from math import inf, nan
from typing import TYPE_CHECKING, Any

import pytest

# Imported for every run of pytest where the package is installed: the rest only on demand.
if TYPE_CHECKING:
    from pg_pool_exporter.testing.guard import Guard
    from pg_pool_exporter.testing.server import BreakableServer

_NAME = "pg_pool_leaks"
_guards = pytest.StashKey["Guard"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option and the settings."""
    group = parser.getgroup("pg-pool-exporter", "connections of PostgreSQL pools")
    group.addoption(
        "--pg-pool-leaks",
        action="store_true",
        help="fail tests that leave connections of PostgreSQL pools checked out",
    )
    parser.addini(_NAME, "the same for each run (see --pg-pool-leaks)", type="bool", default=False)
    parser.addini(
        "pg_pool_leaks_wait",
        "seconds in which threads may return what a test has checked out (default: 1)",
        default="1",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line(
        "markers",
        f"{_NAME}(enabled=True): the test fails if it leaves connections of pools checked out",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Watch pools from before the application is imported, where all tests are asked for."""
    if early_config.known_args_namespace.pg_pool_leaks or early_config.getini(_NAME):
        _guard(early_config)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, Any, Any]:
    """Remember the connections checked out before the test's own fixtures."""
    if _is_asked(item):
        _guard(item.config).begin()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, Any, Any]:
    """Connections checked out by a fixture of a wider scope are its own, until it ends."""
    guard = request.config.stash.get(_guards, None)
    if guard is None or fixturedef.scope == "function":
        return (yield)
    with guard.fixture(fixturedef, fixturedef.argname):
        return (yield)


def pytest_fixture_post_finalizer(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> None:
    """Connections left by an ended fixture count from now on."""
    guard = request.config.stash.get(_guards, None)
    if guard is not None:
        guard.ended(fixturedef)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, Any, Any]:
    """After all fixtures that end with the test: its leaks are an error."""
    if not _is_asked(item):
        return (yield)
    try:
        result = yield
    except Exception as error:
        leaks = _guard(item.config).leaks()
        if leaks:
            error.add_note(leaks)
        raise
    leaks = _guard(item.config).leaks()
    if leaks:
        pytest.fail(leaks, pytrace=False)  # no frame of a hook helps
    return result


@pytest.fixture
def breakable_server() -> Iterator[Callable[..., BreakableServer]]:
    """Makes servers to break, which end with the test: `breakable_server(host, port)`."""
    from pg_pool_exporter.testing.server import BreakableServer

    with ExitStack() as stack:
        yield lambda *where, **named: stack.enter_context(BreakableServer(*where, **named))


def _is_asked(item: pytest.Item) -> bool:
    marker = item.get_closest_marker(_NAME)
    if marker is not None:
        return bool(marker.args[0]) if marker.args else bool(marker.kwargs.get("enabled", True))
    config = item.config
    return bool(config.option.pg_pool_leaks or config.getini(_NAME))


def _guard(config: pytest.Config) -> Guard:
    """The guard of this run, made when it is first needed."""
    guard = config.stash.get(_guards, None)
    if guard is None:
        from pg_pool_exporter.testing.guard import Guard

        given = config.getini("pg_pool_leaks_wait")
        try:
            seconds = float(given)
        except ValueError:
            seconds = nan
        if not 0 <= seconds < inf:
            raise pytest.UsageError(
                f"pg_pool_leaks_wait must be a number of seconds, not {given!r}"
            )
        guard = config.stash[_guards] = Guard(seconds)
    return guard
