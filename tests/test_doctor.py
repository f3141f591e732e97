"""`pg-pool-exporter doctor`: where it asks, what a person reads, the exit code."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import bcrypt
import pytest
import trustme
from aiohttp import web

from pg_pool_exporter.commands.asking import ask
from pg_pool_exporter.commands.command_line import parse
from pg_pool_exporter.commands.doctor.report import Report
from pg_pool_exporter.commands.doctor.terminal import has_colours, written
from pg_pool_exporter.commands.findings_document import DocumentError
from pg_pool_exporter.commands.options import UsageError
from pg_pool_exporter.web.config import WebConfigFile
from support.postgres import Cluster
from support.programs import free_port, run_command
from support.serving import serving

SECRET = "hunter2"
DAEMON = "http://localhost:10432"


def document(*verdicts: str, **changed: Any) -> str:
    """A document whose points have these verdicts."""
    points = [
        {
            "check": "leaks", "verdict": verdict, "figure": "2 not returned",
            "evidence": ["orders/main: shop.py:40"], "remedy": ["Give it back."], **changed,
        }
        for verdict in verdicts
    ]  # fmt: skip
    return json.dumps({"version": 1, "checks": points, "findings": []})


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        (["fine"], 0),
        (["unknown", "fine"], 0),
        (["fine", "warning"], 1),
        (["warning", "problem", "unknown"], 3),
    ],
)
def test_the_exit_code_is_that_of_the_worst_point(verdicts: list[str], code: int) -> None:
    assert Report.read(document(*verdicts)).exit_code == code


@pytest.mark.parametrize(
    "text",
    ["", "<html>", "[]", "{}", '{"version": 2, "checks": []}', '{"version": 1}',
     document("splendid"), "[" * 100_000],
)  # fmt: skip
def test_what_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(DocumentError, match="not from a pg-pool-exporter"):
        Report.read(text)


def test_a_person_reads_a_line_a_point_with_what_speaks_for_it() -> None:
    text = written(Report.read(document("problem", "fine")), colours=False, width=80)
    assert text.splitlines() == [
        "PROBLEM  leaks                 2 not returned",
        "         - orders/main: shop.py:40",
        "         > Give it back.",
        "fine     leaks                 2 not returned",
        "         - orders/main: shop.py:40",
        "         > Give it back.",
        "",
        "1 problem",
    ]


def test_a_person_finds_the_runbook_of_a_daemon_that_has_one() -> None:
    text = document("problem", runbooks=["https://wiki.example/locks.md"])
    assert "> https://wiki.example/locks.md" in written(Report.read(text), colours=False, width=80)
    assert "wiki" not in written(Report.read(document("problem")), colours=False, width=80)


def test_lines_are_no_wider_than_the_terminal() -> None:
    long = "word " * 100
    report = Report.read(document("warning", figure=long, evidence=[long], remedy=[long]))
    text = written(report, colours=False, width=60)
    assert max(map(len, text.splitlines())) <= 60


def test_names_from_outside_cannot_command_the_terminal() -> None:
    hostile = "\x1b[2Jx\x07\r\u202e\x9b31m"
    report = Report.read(document("problem", figure=hostile, evidence=[hostile], remedy=[hostile],
                           check=hostile))  # fmt: skip
    text = written(report, colours=False, width=80)
    assert all(char.isprintable() or char == "\n" for char in text)


@pytest.mark.parametrize(
    ("terminal", "environment", "colours"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
    ],
)
def test_colours_are_for_terminals(
    terminal: bool, environment: dict[str, str], colours: bool
) -> None:
    class Stream(io.StringIO):
        def isatty(self) -> bool:
            return terminal

    assert has_colours(Stream(), environment) is colours
    assert ("\x1b[" in written(Report.read(document("fine")), colours=colours, width=80)) is colours


async def asked(url: str) -> str:
    """The document of the daemon at `url`, which runs in this event loop."""
    return await asyncio.to_thread(ask, urlsplit(url))


def test_a_daemon_is_asked() -> None:
    async def main() -> None:
        async with serving() as served:
            report = Report.read(await asked(f"http://127.0.0.1:{served.port}"))
        assert report.checks[0].check == "targets"

    asyncio.run(main())


def test_a_daemon_that_asks_for_a_password(tmp_path: Path) -> None:
    path = tmp_path / "web.yml"
    hashed = bcrypt.hashpw(SECRET.encode(), bcrypt.gensalt(4)).decode()
    path.write_text(f"basic_auth_users:\n  reader: {hashed}\n")

    async def main() -> None:
        async with serving(config=WebConfigFile(path)) as served:
            at = f"127.0.0.1:{served.port}"
            assert Report.read(await asked(f"http://reader:{SECRET}@{at}"))
            for user, reason in (
                ("", "needs a user and a password: set PG_POOL_EXPORTER_URL to http://"),
                (f"reader:{SECRET}-wrong@", "wrong user or password"),
            ):
                url = f"http://{user}{at}"
                with pytest.raises(DocumentError, match=reason) as refused:
                    await asked(url)
                assert SECRET not in str(refused.value)

    asyncio.run(main())


def test_a_daemon_with_tls_is_trusted_by_its_authority(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    issued.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    path = tmp_path / "web.yml"
    path.write_text(
        f"tls_server_config:\n  cert_file: {tmp_path}/cert.pem\n  key_file: {tmp_path}/key.pem\n"
    )

    def run(**environment: str) -> tuple[int, str]:
        async def main() -> tuple[int, str]:
            async with serving(config=WebConfigFile(path)) as served:
                done = await asyncio.to_thread(
                    run_command, "doctor", f"--url=https://localhost:{served.port}", **environment
                )
                return done.returncode, done.stderr

        return asyncio.run(main())

    code, message = run()
    assert code == 4
    assert "SSL_CERT_FILE" in message
    assert run(SSL_CERT_FILE=str(tmp_path / "ca.pem")) == (1, "")


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (404, "", "no /api/v1/findings there"),
        (302, "", "status 302"),
        (200, "\xff", "not from a pg-pool-exporter"),
        (200, "x" * (17 * 1024 * 1024), "longer than 16 MiB"),
    ],
)
def test_what_answers_otherwise_is_an_error(status: int, body: str, message: str) -> None:
    async def answer(_: web.Request) -> web.Response:
        headers = {"Location": "http://127.0.0.1:1/"} if status == 302 else {}
        return web.Response(status=status, body=body.encode("latin-1"), headers=headers)

    async def main() -> None:
        application = web.Application()
        application.router.add_get("/{path:.*}", answer)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            with pytest.raises(DocumentError, match=message):
                await asked(f"http://127.0.0.1:{runner.addresses[0][1]}")
        finally:
            await runner.cleanup()

    asyncio.run(main())


def test_nobody_answers() -> None:
    done = run_command("doctor", f"--url=http://127.0.0.1:{free_port()}")
    assert (done.returncode, done.stdout) == (4, "")
    assert "Connection refused; does the exporter run there?" in done.stderr


@pytest.mark.parametrize("host", ["a..b", "a" * 64])
def test_a_host_name_that_cannot_exist_is_an_error(host: str) -> None:
    done = run_command("doctor", f"--url=http://{host}:1")
    assert (done.returncode, done.stdout) == (4, "")
    assert f"http://{host}:1: not a valid host name" in done.stderr
    assert "Traceback" not in done.stderr


def test_asking_imports_none_of_the_daemon_s_heavy_packages() -> None:
    """They take longer to import than the daemon to answer."""
    code = (
        "import sys\nfrom pg_pool_exporter.__main__ import main\n"
        f"main(['doctor', '--url=http://127.0.0.1:{free_port()}'])\n"
        "print(*{'aiohttp', 'prometheus_client', 'psycopg', 'structlog', 'yaml'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


@pytest.mark.parametrize("url", ["localhost:10432", "ftp://h:1", "http://h:x", "http://h/?a"])
def test_an_address_that_is_none_is_not_repeated(url: str) -> None:
    with pytest.raises(UsageError, match="exporter's address") as refused:
        parse(["doctor", f"--url={url}{SECRET}"], {})
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("flag", "spelt"),
    [
        ("--config.file=x", "--config.file"),
        ("--socket-dir=x", "--socket-dir"),
        ("--for=5s", "--for"),
    ],
)
def test_a_daemon_is_asked_or_targets_are_watched_never_both(flag: str, spelt: str) -> None:
    with pytest.raises(UsageError, match=f"{spelt} has no use"):
        parse(["doctor", f"--url={DAEMON}", flag], {})


@pytest.mark.parametrize(
    ("flags", "variables", "asked"),
    [
        ([f"--url={DAEMON}"], {"SOCKET_DIR": "x"}, True),
        ([f"--url={DAEMON}"], {"CONFIG_FILE": "x", "DSN": "host=x", "FOR": "5s"}, True),
        ([], {"URL": DAEMON, "SOCKET_DIR": "x", "DSN": "host=x"}, True),
        (["--config.file=x"], {"URL": DAEMON}, False),
        (["--for=5s"], {"URL": DAEMON, "SOCKET_DIR": "x"}, False),
    ],
)
def test_a_variable_that_a_flag_leaves_without_use_is_no_error(
    flags: list[str], variables: dict[str, str], asked: bool
) -> None:
    environment = {f"PG_POOL_EXPORTER_{name}": value for name, value in variables.items()}
    options = parse(["doctor", *flags], environment)
    watched = (options.config_file, options.dsn, options.socket_dir, options.duration)
    assert (options.url is not None) is asked
    assert any(watched) is not asked


def test_it_watches_a_server_itself(any_postgres: Cluster) -> None:
    with any_postgres.connect(application_name="shop") as session:
        session.execute("SELECT 1")
        done = run_command("doctor", "--for=2s", "--json", PG_POOL_EXPORTER_DSN=any_postgres.dsn())
    assert done.returncode == 1, done.stderr  # the timeout is off, as it is by default
    found = {one["check"]: one for one in json.loads(done.stdout)["checks"]}
    assert found["targets"]["figure"] == "1 of 1 answer; no application is watched"
    assert "No application has a socket in" in found["targets"]["evidence"][0]
    assert "idle" in found["sessions"]["figure"]
    assert found["settings"]["verdict"] == "warning"
    assert found["lock_waits"]["verdict"] == found["demand_and_supply"]["verdict"] == "fine"
    assert found["leaks"]["verdict"] == "unknown"
    assert any_postgres.run(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pg_pool_exporter'"
    ) == [(0,)]


def test_a_server_that_does_not_answer_is_a_problem() -> None:
    dsn = f"host=127.0.0.1 port={free_port()} user=x"
    done = run_command("doctor", "--for=1s", PG_POOL_EXPORTER_DSN=dsn)
    assert done.returncode == 3
    assert "PROBLEM  targets               0 of 1 answer; no application is watched" in done.stdout
    assert "connection refused" in " ".join(done.stdout.split())
    assert done.stderr == ""
    assert "\x1b[" not in done.stdout
