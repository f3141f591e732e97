"""`explain` shows what a metrics page is read as, and what of it is not used."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from pg_pool_exporter.sources.pages.explanation import Explanation, explain
from pg_pool_exporter.sources.pages.series.foreign_page import automatic
from pg_pool_exporter.sources.pages.target_defaults import TargetDefaults

PAGES = Path(__file__).parent / "pages"
DEFAULTS = TargetDefaults(app="orders", process="orders:8080")


def explained(page: bytes) -> Explanation:
    return explain(page, automatic(), DEFAULTS)


def unused(found: Explanation) -> dict[str, str]:
    return dict(found.unused)


@pytest.mark.parametrize("path", sorted(PAGES.rglob("*.txt")), ids=lambda path: path.stem)
def test_every_pool_comes_from_series_in_a_format(path: Path) -> None:
    found = explained(path.read_bytes())
    assert not found.error
    for pool in found.pools:
        assert pool.series
        assert pool.formats
    used = {name for pool in found.pools for name in pool.series}
    partly = {one.name for one in found.unused if one.reason.endswith("of some of its series")}
    assert used & unused(found).keys() == partly & used


def test_both_formats_of_a_pool_are_named() -> None:
    [pool] = explained(
        b'hikaricp_connections_active{pool="main",pod="a"} 3\n'
        b'pg_pool_overdue_connections{pool="main",site="A.java:1"} 1\n'
    ).pools
    assert pool.formats == ("micrometer", "native")
    assert pool.series == ("hikaricp_connections_active", "pg_pool_overdue_connections")


def test_a_pool_whose_name_begins_like_anothers_has_its_own_series_alone() -> None:
    pools = explained(
        b'pgxpool_max_conns{db="shop"} 1\n'
        b'pgxpool_idle_conns{db="shop",pod="a"} 1\n'
        b'pgxpool_acquired_conns{db="shop",db_host="x"} 1\n'
        b'go_sql_in_use_connections{db="shop"} 1\n'
    ).pools
    assert [(one.sample.key.pool, one.sample.key.process, one.series) for one in pools] == [
        ("shop", "orders:8080", ("pgxpool_max_conns",)),
        ("shop", "orders:8080:a", ("pgxpool_idle_conns",)),
        ("shop (db_host=x)", "orders:8080", ("pgxpool_acquired_conns",)),
        ("shop (go-sql)", "orders:8080", ("go_sql_in_use_connections",)),
    ]


def test_why_a_series_is_not_used() -> None:
    found = explained(
        b'hikaricp_connections_active{pool="main"} 3\n'
        b'jdbc_connections_active{name="dataSource"} 3\n'
        b'vertx_pool_in_use{pool_type="worker",pool_name="x"} 3\n'
        b"shop_pool_size 3\n"
        b"jvm_threads_live_threads 3\n"
    )
    assert unused(found) == {
        "jdbc_connections_active": (
            "format spring-jdbc is left out beside micrometer, which shows the same pools"
        ),
        "vertx_pool_in_use": "its labels say that it is about something else",
        "shop_pool_size": "no format has this name",
    }


def test_a_page_that_fails_is_explained_too() -> None:
    found = explained(b'hikaricp_connections_active{pool="main"} many\nhikaricp_pool 3\n')
    assert found.error == "line 1: the value is not a number"
    assert not found.pools
    assert unused(found)["hikaricp_pool"] == "no format has this name"
    assert "Nearest: " in explained(b"hikaricp_pool_connections 3\n").error


def test_all_series_of_a_page_that_fails_are_unused_for_that_reason() -> None:
    line = b'hikaricp_connections_active{pool="main"} 3\n'
    assert unused(explained(line + line)) == {
        "hikaricp_connections_active": "the page fails as a whole"
    }


def test_a_better_format_is_the_reason_and_not_our_lines_beside_it() -> None:
    found = explained(
        b'hikaricp_connections_active{pool="main"} 3\n'
        b'pg_pool_overdue_connections{pool="main",site="A.java:1"} 1\n'
        b'jdbc_connections_active{name="dataSource"} 3\n'
    )
    assert "beside micrometer" in unused(found)["jdbc_connections_active"]


def test_a_label_that_only_some_series_of_a_pool_have_is_named() -> None:
    pools = explained(
        b'hikaricp_connections_active{pool="main"} 3\n'
        b'hikaricp_connections_max{pool="main",region="eu"} 5\n'
        b'hikaricp_connections_pending{pool="main",tenant="x"} 1\n'
        b'hikaricp_connections_active{pool="other",region="eu"} 3\n'
    ).pools
    assert [one.uneven for one in pools] == [("region", "tenant"), (), (), ()]


def test_two_pools_that_differ_in_a_label_are_both_whole() -> None:
    pools = explained(
        b'hikaricp_connections_active{pool="main"} 3\n'
        b'hikaricp_connections_active{pool="main",tenant="x"} 1\n'
    ).pools
    assert [one.uneven for one in pools] == [(), ()]


def test_what_is_over_the_limit_is_counted() -> None:
    page = b"".join(b'hikaricp_connections_active{pool="%d"} 3\n' % at for at in range(130))
    assert len(explained(page).pools) == 100
    assert explained(page).folded == 30
    code, text = run("-", given=page)
    assert code == 0
    assert "30 more, over the limits" in text


class Handler(BaseHTTPRequestHandler):
    page = b'hikaricp_connections_active{pool="main"} 3\n'

    def do_GET(self) -> None:
        allowed = self.headers["Authorization"] == "Bearer letmein"
        self.send_response(200 if allowed or self.path == "/open" else 401)
        self.send_header("Content-Length", str(len(self.page)))
        self.end_headers()
        self.wfile.write(self.page)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def serving() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def run(*arguments: str, given: bytes = b"") -> tuple[int, str]:
    command = [sys.executable, "-m", "pg_pool_exporter", "explain", *arguments]
    done = subprocess.run(command, input=given, capture_output=True, timeout=60, check=False)
    return done.returncode, (done.stdout + done.stderr).decode()


def test_a_page_at_an_address() -> None:
    with serving() as url:
        code, text = run(f"{url}/open")
    assert code == 0
    assert "pool main" in text
    assert "format: micrometer" in text
    assert "values: active 3" in text


def test_a_probe_of_the_configuration_names_the_pools_and_their_formats(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    with serving() as url:
        config.write_text(f'socket_dir: ""\napps: [{{name: orders, targets: ["{url}/open"]}}]\n')
        command = [sys.executable, "-m", "pg_pool_exporter", "check-config", "--probe"]
        done = subprocess.run(
            [*command, f"--config.file={config}"], capture_output=True, timeout=60, check=False
        )
    assert done.returncode == 0
    assert done.stdout.decode().endswith(": ok, 1 pool: main (micrometer)\n")


@pytest.mark.slow
def test_a_page_as_the_configuration_describes_it(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("letmein")
    with serving() as url:
        config = tmp_path / "config.yaml"
        config.write_text(
            f"socket_dir: ''\napps: [{{name: orders, targets: ['{url}/closed'], "
            f"bearer_token_file: {token}}}]\n"
        )
        assert run(f"{url}/closed")[0] == 1
        code, text = run(f"{url}/closed", f"--config.file={config}")
        assert code == 0, text
        assert "letmein" not in text
        code, text = run(f"{url}/other", f"--config.file={config}")
    assert code == 1
    assert "no app with this address" in text


def test_a_page_from_standard_input() -> None:
    code, text = run("-", given=b'\x1b[2Jx 1\npgxpool_max_conns{db="\x1b[2J"} 4\n')
    assert code == 0
    assert "format: pgxpool" in text
    assert "\x1b" not in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "needs the address of a page"),
        (("ftp://x",), 2, "must be a URL"),
        (("http://127.0.0.1:1/?token=letmein",), 1, "cannot be read (refused)"),
        (("http://a", "http://b"), 2, "more than one command"),
    ],
)
def test_what_is_wrong_is_said(arguments: tuple[str, ...], code: int, words: str) -> None:
    done = run(*arguments)
    assert done[0] == code
    assert words in done[1]
    assert "letmein" not in done[1]
