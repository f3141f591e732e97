"""Which line of code is named for a checkout."""

from __future__ import annotations

import contextlib
import os
import sys
import sysconfig
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pg_pool_exporter.client.sites import Site, calling_site, describe


class Pool:
    """Stands where a pool does: `getconn` asks who is calling."""

    def getconn(self) -> Site:
        return calling_site()


def load(path: Path, source: str) -> dict[str, Callable[[Pool], Site]]:
    """The names that a source file defines, as if it had been imported from `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    names: dict[str, Callable[[Pool], Site]] = {}
    exec(compile(source, str(path), "exec"), names)
    return names


_DIRECT = "def handler(pool):\n    x = 1\n    return pool.getconn()\n"
_THROUGH = "def handler(pool):\n    return helper(pool)\n"


def test_the_line_that_asks_is_named_by_its_file_line_and_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    handler = load(tmp_path / "shop" / "views.py", _DIRECT)["handler"]
    assert describe(handler(Pool())) == "shop/views.py:3 handler"


def test_a_helper_from_an_installed_package_is_passed_over(tmp_path: Path) -> None:
    helper = load(tmp_path / "lib/site-packages/dbtools/pool.py", _DIRECT)["handler"]
    names = load(tmp_path / "views.py", _THROUGH)
    names["helper"] = helper
    assert describe(names["handler"](Pool())).endswith("views.py:2 handler")


def test_a_context_manager_leads_to_the_function_that_was_decorated() -> None:
    @contextlib.contextmanager
    def connection(pool: Pool) -> Iterator[Site]:
        yield pool.getconn()

    with connection(Pool()) as site:
        assert describe(site).startswith("test_client_sites.py:") or "/test_client_sites" in (
            describe(site)
        )
        assert describe(site).endswith("connection")


@pytest.mark.parametrize("script", ["gunicorn", "celery"])
def test_an_application_that_is_itself_installed_is_named_and_not_the_script_that_runs_it(
    tmp_path: Path, script: str
) -> None:
    handler = load(tmp_path / "lib/site-packages/shop/views.py", _DIRECT)["handler"]
    server = load(tmp_path / f"lib/site-packages/{script}/run.py", _THROUGH)
    server["helper"] = handler
    path = f"{sysconfig.get_path('scripts')}/{script}"
    names: dict[str, Callable[[Pool], Site]] = {"helper": server["handler"]}
    exec(compile(_THROUGH, path, "exec"), names)
    # Run as the outermost frame of application code: pytest's own must not be on the stack.
    with ThreadPoolExecutor(1) as threads:
        site = threads.submit(names["handler"], Pool()).result()
    assert describe(site).endswith("site-packages/shop/views.py:3 handler")


@pytest.mark.parametrize("package", ["psycopg_pool", "django", "sqlalchemy"])
def test_plumbing_is_never_named(tmp_path: Path, package: str) -> None:
    inner = load(tmp_path / f"lib/site-packages/{package}/base.py", _DIRECT)["handler"]
    with ThreadPoolExecutor(1) as threads:
        site = threads.submit(inner, Pool()).result()
    assert describe(site) == "unknown"


def test_equal_functions_on_the_same_line_of_different_files_are_reported_apart(
    tmp_path: Path,
) -> None:
    """Python calls their code objects equal."""
    sites = [load(tmp_path / f"{name}.py", _DIRECT)["handler"](Pool()) for name in ("a", "b")]
    assert sites[0] == sites[1]
    assert [Path(describe(site).split(":")[0]).name for site in sites] == ["a.py", "b.py"]


def test_a_deep_stack_is_looked_through_only_so_far() -> None:
    def deeper(levels: int) -> Site:
        return deeper(levels - 1) if levels else Pool().getconn()

    assert describe(deeper(500)).endswith("deeper")


def test_a_long_name_is_cut_at_its_beginning(tmp_path: Path) -> None:
    handler = load(tmp_path.joinpath(*["d" * 50] * 6, "views.py"), _DIRECT)["handler"]
    described = describe(handler(Pool()))
    assert len(described) == 200
    assert described.endswith("/views.py:3 handler")


def test_a_deleted_working_directory_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "release-1"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    handler = load(tmp_path / "views.py", _DIRECT)["handler"]
    with pytest.raises(FileNotFoundError):
        os.getcwd()  # noqa: PTH109 - states what the test is about
    assert describe(handler(Pool())).endswith("views.py:3 handler")
    assert sys.path
