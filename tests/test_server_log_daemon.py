"""The command with a server's log: from the configuration to the page, over a restart."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from support import provoking
from support.postgres import EMBEDDED_16, Cluster, wait_until
from support.programs import answers, exporter, fetch, free_port, running
from support.sql import install

STATEMENT = 'pg_server_timeouts_total{server="main",database="postgres",kind="statement"}'


@pytest.fixture(scope="module")
def logging() -> Iterator[Cluster]:
    """A server that logs into files."""
    with Cluster(EMBEDDED_16, settings=provoking.LOGGING) as cluster:
        install(cluster, "exporter")
        yield cluster


def configuration(
    directory: Path, cluster: Cluster, log: Mapping[str, Any], interval: str = "10s", **more: Any
) -> Path:
    """A file that names the server and its log."""
    path = directory / "config.yaml"
    pace = {"interval": interval, "timeout": interval}
    own = {"name": "main", "dsn": cluster.dsn(user="exporter"), **pace, "log": {**pace, **log}}
    content = {"socket_dir": "", "state_dir": "state", "servers": [own], **more}
    path.write_text(yaml.safe_dump(content))
    return path


def files(cluster: Cluster) -> Mapping[str, Any]:
    return {"files": [str(cluster.directory / "data/log/*")]}


def time_out_a_statement(cluster: Cluster) -> None:
    with cluster.connect() as session:
        session.execute("SET statement_timeout = '10ms'")
        provoking.fails(session, "SELECT pg_sleep(5)", psycopg.errors.QueryCanceled)


def value(page: str, series: str) -> float | None:
    found = re.search(rf"^{re.escape(series)} (\S+)$", page, re.MULTILINE)
    return float(found[1]) if found else None


@pytest.mark.parametrize("way", ["files", "sql"])
def test_timeouts_are_on_the_page_and_counted_on_over_restarts(
    logging: Cluster, tmp_path: Path, way: str
) -> None:
    log = files(logging) if way == "files" else {"sql": True}
    path = configuration(tmp_path, logging, log, "500ms")
    address = f"127.0.0.1:{free_port()}"
    command = exporter(f"--config.file={path}", f"--web.listen-address={address}")

    def page() -> str:
        return fetch(f"http://{address}/metrics")

    def shows(number: int) -> Callable[[], bool]:
        return lambda: value(page(), STATEMENT) == number

    for start in (0, 2, 4):
        with running(command, log=tmp_path / "said"):
            wait_until(lambda: answers(f"http://{address}/-/ready"), "everything was polled")
            wait_until(shows(start), f"{start} timeouts are shown")
            time_out_a_statement(logging)
            wait_until(shows(start + 1), f"{start + 1} timeouts are shown")
            shown = page()
        time_out_a_statement(logging)
    assert value(shown, 'pg_pool_exporter_target_up{target="main",kind="log"}') == 1
    assert value(shown, 'pg_pool_exporter_log_lag_bytes{target="main",kind="log"}') == 0
    bytes_read = value(shown, 'pg_pool_exporter_log_bytes_total{target="main",kind="log"}')
    assert bytes_read is not None
    assert bytes_read > 0
    opened = value(shown, 'pg_server_connections_opened_total{server="main",database="postgres"}')
    assert opened is not None
    assert opened >= 3
    assert (
        value(shown, 'pg_server_connections_refused_total{server="main",reason="role_limit"}') == 0
    )
    assert "canceling" not in shown
    assert "pg_sleep" not in (tmp_path / "said").read_text()


def test_the_log_is_read_while_the_server_is_down(logging: Cluster, tmp_path: Path) -> None:
    """The time of most interest; its format is known from before, or configured."""
    log = {**files(logging), "format": "csvlog"}
    path = configuration(tmp_path, logging, log, "2s", state_dir="")
    address = f"127.0.0.1:{free_port()}"
    command = exporter(f"--config.file={path}", f"--web.listen-address={address}")
    logging.stop()
    try:
        with running(command, log=tmp_path / "said"):
            wait_until(lambda: answers(f"http://{address}/-/ready"), "everything was polled")
            page = fetch(f"http://{address}/metrics")
    finally:
        logging.start()
    assert value(page, 'pg_server_up{server="main"}') == 0
    assert value(page, 'pg_pool_exporter_target_up{target="main",kind="log"}') == 1
    # Not known whether the server logs them.
    assert "pg_server_connections_opened_total{" not in page


def probe(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        exporter("check-config", "--probe", f"--config.file={path}"),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


class TestProbe:
    """`check-config --probe`"""

    def test_says_that_everything_works(self, logging: Cluster, tmp_path: Path) -> None:
        path = configuration(tmp_path, logging, files(logging))
        time_out_a_statement(logging)
        done = probe(path)
        assert done.returncode == 0, done
        assert re.fullmatch(
            f"{re.escape(str(path))}: valid, 1 server, 0 apps, 0 bouncers\nserver main: ok\n"
            r"log main: ok: \d+ records of jsonlog, 0 unknown lines at its end\n",
            done.stdout,
        )

    def test_reads_the_end_of_a_log_over_sql(self, logging: Cluster, tmp_path: Path) -> None:
        time_out_a_statement(logging)
        done = probe(configuration(tmp_path, logging, {"sql": True}))
        assert re.search(
            r"log main: ok: \d+ records of \w+, 0 unknown lines at its end\n", done.stdout
        ), done

    def test_says_how_a_log_is_wrapped(self, logging: Cluster, tmp_path: Path) -> None:
        excerpt = Path(__file__).parent / "log_excerpts/docker.log"
        log = {"files": [str(excerpt)], "line_prefix": "%m [%p] %q%u@%d ", "format": "stderr"}
        done = probe(configuration(tmp_path, logging, log))
        assert done.returncode == 0, done
        assert "log main: ok: 23 records of stderr, wrapped by docker, 0 unknown" in done.stdout

    def test_fails_if_no_line_is_marked_as_postgresqls(
        self, logging: Cluster, tmp_path: Path
    ) -> None:
        lines = (Path(__file__).parent / "log_excerpts/rds.log").read_text().splitlines()
        named = tmp_path / "syslog"
        log = {"files": [str(named)], "line_prefix": "%m [%p] ", "format": "stderr"}
        for head in (
            "Nov 28 22:30:00 db1 primary[100]: [3-1] ",
            "Nov 28 22:30:00 db1 sshd[100]: x",
        ):
            named.write_text("".join(f"{head}{line}\n" for line in lines))
            done = probe(configuration(tmp_path, logging, log))
            assert done.returncode == 1, done
            assert "log main: failed (not_understood): none of the" in done.stdout
            assert "anna" not in done.stdout + done.stderr
            assert ("set line_prefix: '" in done.stdout) == ("primary" in head)

    def test_says_of_too_few_lines_that_they_show_nothing(
        self, logging: Cluster, tmp_path: Path
    ) -> None:
        named = tmp_path / "syslog"
        log = {"files": [str(named)], "line_prefix": "%m [%p] ", "format": "stderr"}
        for text, said in (
            ("", "ok, but it is empty"),
            ("Nov 28 22:30:00 db1 sshd[1]: x\n", "ok, but none of its few lines is PostgreSQL's"),
        ):
            named.write_text(text)
            done = probe(configuration(tmp_path, logging, log))
            assert done.returncode == 0, done
            assert f"log main: {said}: whether its records" in done.stdout

    def test_proposes_the_prefix_that_fits(self, logging: Cluster, tmp_path: Path) -> None:
        excerpt = Path(__file__).parent / "log_excerpts/rds.log"
        log = {"files": [str(excerpt)], "line_prefix": "%m [%p] ", "format": "stderr"}
        done = probe(configuration(tmp_path, logging, log))
        assert done.returncode == 1, done
        assert "log main: failed (not_understood): the last 23 lines are no records" in done.stdout
        assert "set line_prefix: '%t:%r:%u@%d:[%p]:', which fits them" in done.stdout
        assert "anna" not in done.stdout + done.stderr

    def test_leaves_the_state_of_a_running_exporter_alone(
        self, logging: Cluster, tmp_path: Path
    ) -> None:
        probe(configuration(tmp_path, logging, files(logging)))
        assert not (tmp_path / "state").exists()

    @pytest.mark.parametrize(
        ("log", "reason", "said"),
        [
            ({"files": ["nothing/*.log"]}, "other", "nothing/*.log"),
            ({"sql": True, "format": "jsonlog"}, "permission", "log_reader.sql"),
        ],
    )
    def test_says_what_is_wrong_with_a_log(
        self, logging: Cluster, tmp_path: Path, log: Mapping[str, Any], reason: str, said: str
    ) -> None:
        logging.run("REVOKE ALL ON SCHEMA pool_exporter FROM exporter")
        try:
            done = probe(configuration(tmp_path, logging, log))
        finally:
            logging.run("GRANT USAGE ON SCHEMA pool_exporter TO exporter")
        assert done.returncode == 1
        _, server, line = done.stdout.splitlines()
        assert server == "server main: ok"
        assert line.startswith(f"log main: failed ({reason}): ")
        assert said in line
        assert said not in done.stderr, "each thing is said once"

    def test_says_what_is_wrong_with_a_server(self, postgres: Cluster, tmp_path: Path) -> None:
        path = configuration(tmp_path, postgres, {"sql": True})
        done = probe(path)
        assert done.returncode == 1
        assert "server main: failed (auth): server main (" in done.stdout
        assert "the server refused the login" in done.stdout
        assert "the server refused the login" not in done.stderr

    def test_says_what_the_server_does_not_log(self, tmp_path: Path) -> None:
        settings = {
            **provoking.LOGGING,
            "log_destination": "stderr",
            "log_line_prefix": "%t ",
            "log_connections": "off",
            "log_disconnections": "off",
            "log_min_messages": "fatal",
        }
        with Cluster(EMBEDDED_16, settings=settings) as cluster:
            install(cluster, "exporter")
            done = probe(configuration(tmp_path, cluster, files(cluster)))
        assert done.returncode == 0, done
        for remedy, times in (
            ("log_connections = on", 1),
            ("log_disconnections = on", 1),
            ("log_min_messages = warning", 2),  # for sessions, and for timeouts
            ("add %d to log_line_prefix", 1),
            ("add %e to log_line_prefix", 1),
        ):
            assert done.stderr.count(remedy) == times, done.stderr
