"""The configuration file: what is accepted, and how mistakes are reported."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import trustme

from pg_pool_exporter.config import (
    Config,
    ConfigError,
    Section,
    from_dsn,
    load,
)
from support.busy import within
from support.configuration import SECRET, SECTIONS, mistakes, write

DURATION = "must be a duration: a number with its unit (ms, s, m, h or d), like 500ms or 1h"
DSN = "postgresql://exporter@db.example/postgres"


def server(directory: Path, more: str) -> Path:
    """A file with one server that is right but for the lines `more`."""
    return write(directory, f"servers:\n- name: main\n  dsn: {DSN}\n  {more}\n")


def test_a_full_file_is_read(tmp_path: Path) -> None:
    """Durations become seconds; relative paths are relative to the file."""
    (tmp_path / "password").write_text(SECRET)
    path = write(
        tmp_path,
        """
        socket_dir: sockets
        servers:
          - name: main
            dsn: postgresql://exporter@db.example/postgres
            password_file: password
            interval: 2m
            timeout: 500ms
            max_groups: 7
        apps:
          - name: orders
            application_name: orders-api
            server: main
            leak_after: 90s
            max_connections: 20
            targets: [http://orders:8080/own, "https://[::1]:8443"]
            interval: 1.5s
        """,
    )
    config = load(path)
    assert config.socket_dir == str(tmp_path / "sockets")
    [main] = config.servers
    assert main.dsn.get_secret_value() == DSN
    assert main.password_file == str(tmp_path / "password")
    assert (main.interval, main.timeout, main.max_groups) == (120, 0.5, 7)
    [orders] = config.apps
    assert orders.application_name == "orders-api"
    assert (orders.server, orders.leak_after, orders.max_connections) == ("main", 90, 20)
    assert orders.targets == ("http://orders:8080/own", "https://[::1]:8443/metrics")
    assert (orders.interval, orders.timeout) == (1.5, 1.5)


def test_what_is_left_out_has_a_default(tmp_path: Path) -> None:
    """A timeout that isn't given never exceeds a short interval."""
    path = write(
        tmp_path,
        f"""
        servers:
          - {{name: main, dsn: "{DSN}"}}
          - {{name: quick, dsn: "{DSN}", interval: 1s}}
        apps: [{{name: orders}}]
        """,
    )
    config = load(path)
    assert config.socket_dir is None
    assert [(one.interval, one.timeout) for one in config.servers] == [(5, 3), (1, 1)]
    assert config.servers[0].max_groups == 100
    assert config.apps[0].application_name == "orders"
    assert config.apps[0].leak_after == 60
    assert config.apps[0].targets == ()


def test_an_app_points_at_a_server_of_the_file(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        f"""
        servers: [{{name: main, dsn: "{DSN}"}}]
        apps: [{{name: orders, server: mian}}]
        """,
    )
    assert mistakes(path) == [
        "3: apps[0].server: must be the name of one of the servers; did you mean main?"
    ]


def test_processes_are_polled_as_often_as_the_file_says(tmp_path: Path) -> None:
    config = load(write(tmp_path, "processes: {interval: 1s}"))
    assert (config.processes.interval, config.processes.timeout) == (1, 1)


def test_an_empty_socket_directory_turns_sockets_off(tmp_path: Path) -> None:
    assert load(write(tmp_path, 'socket_dir: ""')).socket_dir == ""


def test_aliases_and_merge_keys_work(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        servers:
          - &first {name: main, dsn: host=one, interval: 7s}
          - {<<: *first, name: second}
        """,
    )
    assert [(one.name, one.interval) for one in load(path).servers] == [("main", 7), ("second", 7)]


def test_all_mistakes_of_a_file_are_reported_at_once(tmp_path: Path) -> None:
    """Each with its line, its path, what was found, what is allowed, and the nearest known key."""
    path = write(
        tmp_path,
        f"""\
        socket_dirr: /run/x
        servers:
          - name: main
            dsn: postgresql://u:{SECRET}@db.example/postgres
            password_file: /nonexistent/{SECRET}
            intervall: 5s
          - name: main
            dsn: postgresql://u:{SECRET}/2@db.example/postgres
            interval: 5
            timeout: 10s
            timeout: 4s
          - name: true
            dsn: [{SECRET}]
            interval: 2s
            timeout: 3s
            max_groups: "10"
            password: {SECRET}
          - dsn postgresql://u:{SECRET}@db.example/postgres
        apps:
          - name: orders
            targets: ["http://u:{SECRET}@x/", "ftp://{SECRET}", "http://a", "http://a"]
          - targets: http://{SECRET}
            interval:
          - name: ""
        """,
    )
    keys = (
        "name, interval, timeout, dsn, password_file, password_command, max_groups, "
        "cores, facts, log"
    )
    assert mistakes(path) == [
        (
            "1: socket_dirr: is an unknown key; did you mean socket_dir? "
            f"(known keys: {', '.join(Config.model_fields)})"
        ),
        "5: servers[0].password_file: names a file that cannot be read: No such file or directory",
        f"6: servers[0].intervall: is an unknown key; did you mean interval? (known keys: {keys})",
        "7: servers[1].name: must be unique; servers[0].name is the same",
        (
            "8: servers[1].dsn: must have the special characters of the password percent-encoded "
            "(@ as %40, / as %2F); password_file needs no encoding"
        ),
        (f"9: servers[1].interval: {DURATION}; found 5"),
        "11: servers[1].timeout: is repeated; first in line 10",
        "12: servers[2].name: must be text (put it in quotes); found true",
        "13: servers[2].dsn: must be text",
        "15: servers[2].timeout: must be above 0 and not longer than the interval; found '3s'",
        "16: servers[2].max_groups: must be a whole number; found '10'",
        (
            "17: servers[2].password: is an unknown key; did you mean password_file? "
            f"(known keys: {keys})"
        ),
        "18: servers[3]: must be a mapping of keys to values",
        "21: apps[0].targets[3]: must be unique; apps[0].targets[2] is the same",
        "21: apps[0].targets[0]: must not hold a user or a password",
        "21: apps[0].targets[1]: must be a URL, like http://orders:8080/metrics",
        "22: apps[1].name: is required",
        "22: apps[1].targets: must be a list",
        "23: apps[1].interval: must have a value, or be left out; found nothing",
        "24: apps[2].name: must have 1 to 63 characters; found ''",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ["is empty"]),
        ("# nothing but a comment\n", ["is empty"]),
        ("- a\n- b\n", ["1: must be a mapping of keys to values"]),
        ("just words\n", ["1: must be a mapping of keys to values"]),
        ("servers:\n", ["1: servers: must have a value, or be left out; found nothing"]),
        ("servers: {name: main}\n", ["1: servers: must be a list"]),
        ("servers: none\n", ["1: servers: must be a list"]),
        ("apps: []\n---\napps: []\n", ["2: must be one document: remove the line ---"]),
        ("servers:\n\t- name: main\n", ["2: is not valid YAML: indented with a tab, use spaces"]),
        (f"a: *{SECRET}", ["1: has an alias (*name) without its anchor (&name)"]),
        ("apps: &a\n- *a\n", ["2: has an alias (*name) without its anchor (&name)"]),
        (f"a: !{SECRET} b", ["1: must not have tags (!name)"]),
        (f"a: !'{SECRET} b", ["1: must not have tags (!name)"]),
        ("a: !!float x", ["1: must not have tags (!name)"]),
        ("a: !!timestamp x", ["1: must not have tags (!name)"]),
        ("!!str a: b", ["1: must not have tags (!name)"]),
        ("<<: 1\n", ["1: must merge mappings: <<: *name"]),
        ("? [a]\n: b\n", ["1: must have text as keys"]),
        ("a: \x1b[1m\n", ["1: holds a control character"]),
        (
            f"'dsn={SECRET}': 1\n",
            [
                (
                    "1: (a key that is not a plain word): is an unknown key "
                    f"(known keys: {', '.join(Config.model_fields)})"
                )
            ],
        ),
        ("a: \0\n", ["1: holds a control character"]),
    ],
)
def test_what_is_no_configuration_is_refused(tmp_path: Path, text: str, said: list[str]) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    assert mistakes(path) == said


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("apps: [\n", 2),
        (f"a: 'b\n{SECRET}", 2),
        ("a: %b", 1),
        (f"a: b: {SECRET}", 1),
        ("a:\n  - b\n c: d\n", 3),
    ],
)
def test_a_mistake_in_yaml_is_reported_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    [message] = mistakes(path)
    assert message.startswith(f"{line}: is not valid YAML: ")


def test_dates_and_numbers_of_base_60_are_text(tmp_path: Path) -> None:
    """YAML 1.1 makes a list of 200 KB of `1:1:1` a matter of seconds."""
    for text in ("2024-99-99", "1:30", "010", "yes", "0x1f", "1e3", ".inf"):
        [message] = mistakes(write(tmp_path, f"servers: {text}"))
        assert "servers: must be a list" in message
        assert load(write(tmp_path, f"apps: [{{name: {text}}}]")).apps[0].name == text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"#" * (1024 * 1024 + 1), ["is larger than 1024 KiB"]),
        (b"a: 1\nb: \xff\n", ["2: is not UTF-8 text"]),
        (b"[" * 100_000, ["is nested too deeply"]),
        ("apps: []\n".encode("utf-16"), ["1: is not UTF-8 text"]),
        (b"apps:\n" + b"- {name: a, interval: 5s}\n" * 38_000, ["has more than 100000 values"]),
        (b"servers: [" + b"a," * 500_000, ["has more than 100000 values"]),
        (
            b"\n".join(
                [b"a: &a [x]"]
                + [
                    b"%c: &%c [*%c, *%c, *%c, *%c]" % (name, name, *[name - 1] * 4)
                    for name in range(ord("b"), ord("z"))
                ]
            ),
            ["has more than 100000 values"],
        ),
    ],
    ids=["large", "encoding", "deep", "utf-16", "applications", "list", "billion-laughs"],
)
def test_hostile_files_are_refused(tmp_path: Path, content: bytes, said: list[str]) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    started = time.monotonic()
    assert mistakes(path) == said
    assert time.monotonic() - started < within(3)


MANY = {
    "unknown servers": "servers:\n"
    + "".join(f"- {{name: server-{n}, dsn: host=h}}\n" for n in range(5_000))
    + "apps:\n"
    + "".join(f"- {{name: a{n}, server: srv-{n}}}\n" for n in range(8_000)),
    "unknown formats": "apps:\n"
    + "".join(f"- {{name: a{n}, format: f{n}}}\n" for n in range(16_000)),
    "unknown keys": "apps: [{" + ",".join(f"intervall{n}: 1" for n in range(45_000)) + "}]",
    "repeated keys": "apps: [{" + ",".join("name: 1" for n in range(45_000)) + "}]",
}


@pytest.mark.parametrize("text", MANY.values(), ids=MANY)
def test_of_thousands_of_mistakes_the_first_are_reported_soon(tmp_path: Path, text: str) -> None:
    started = time.monotonic()
    found = mistakes(write(tmp_path, text))
    assert time.monotonic() - started < 10
    assert len(found) == 101
    assert "more mistakes" in found[-1]


def test_a_file_that_is_not_there_is_reported(tmp_path: Path) -> None:
    assert mistakes(tmp_path / "config.yaml") == ["cannot be read: No such file or directory"]
    assert "not a regular file" in mistakes(tmp_path)[0]


@pytest.mark.parametrize(
    ("duration", "said"),
    [
        ("100ms", None),
        ("1h", None),
        ("0.5s", None),
        ("99ms", "must be from 100ms to 1h; found '99ms'"),
        ("61m", "must be from 100ms to 1h; found '61m'"),
        ("0s", "must be from 100ms to 1h; found '0s'"),
        ("5", f"{DURATION}; found 5"),
        ("5.5", f"{DURATION}; found 5.5"),
        ("'5'", f"{DURATION}; found '5'"),
        ("-5s", f"{DURATION}; found '-5s'"),
        ("5 min", f"{DURATION}; found '5 min'"),
        ("1:30", f"{DURATION}; found '1:30'"),
        (f"{'9' * 400}s", f"must be from 100ms to 1h; found '{'9' * 40}…'"),
        ("[5s]", f"{DURATION}; found a list"),
        ("2024-01-01", f"{DURATION}; found '2024-01-01'"),
    ],
)
def test_intervals_are_durations_with_a_unit(
    tmp_path: Path, duration: str, said: str | None
) -> None:
    path = server(tmp_path, f"interval: {duration}\n  timeout: 100ms")
    if said is None:
        load(path)
    else:
        assert mistakes(path) == [f"4: servers[0].interval: {said}"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("timeout: 6s", "timeout: must be above 0 and not longer than the interval; found '6s'"),
        ("timeout: 0ms", "timeout: must be above 0 and not longer than the interval; found '0ms'"),
        ("max_groups: 0", "max_groups: must be at least 1; found 0"),
        ("max_groups: 10001", "max_groups: must be at most 10000; found 10001"),
        ("max_groups: 1.5", "max_groups: must be a whole number; found 1.5"),
        ("max_groups: yes", "max_groups: must be a whole number; found 'yes'"),
        ("password_file: ''", "password_file: must be a path"),
        (
            f"password_file: {'x' * 300}",
            "password_file: names a file that cannot be read: File name too long",
        ),
        (
            "password_file: .",
            (
                "password_file: names a file that is not a regular file "
                "(but a directory, pipe, socket or device)"
            ),
        ),
        (
            "password_command: []",
            "password_command: must be a program and its arguments, none of them empty",
        ),
        (
            "password_command: [sh, '']",
            "password_command: must be a program and its arguments, none of them empty",
        ),
        (f"password_command: echo {SECRET}", "password_command: must be a list"),
        ("password_command: [echo, 1]", "password_command[1]: must be text (put it in quotes)"),
        (
            f"password_command: [{SECRET}]",
            "password_command: must begin with a program that exists and may be executed",
        ),
        (
            "password_command: [./absent]",
            "password_command: must begin with a program that exists and may be executed",
        ),
    ],
)
def test_wrong_values_are_reported(tmp_path: Path, line: str, said: str) -> None:
    assert mistakes(server(tmp_path, line)) == [f"4: servers[0].{said}"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("'x y'", None),
        ("größe", None),
        ("x" * 63, None),
        ("x" * 64, f"must have 1 to 63 characters; found '{'x' * 40}…'"),
        ("' x'", "must be printable, without spaces around it; found ' x'"),
        (r'"a\nb"', r"must be printable, without spaces around it; found 'a\nb'"),
        ("5432", "must be text (put it in quotes); found 5432"),
        ("[x]", "must be text; found a list"),
        (
            f'"postgresql://u:{SECRET}@a.very.long.host.name.example.org:5432/some_database"',
            "must have 1 to 63 characters; found 'postgresql://u:***@a.very.long.host.name…'",
        ),
    ],
)
def test_names_are_short_printable_texts(tmp_path: Path, name: str, said: str | None) -> None:
    path = write(tmp_path, f"apps: [{{name: {name}, application_name: x}}]")
    if said is None:
        load(path)
    else:
        assert mistakes(path) == [f"1: apps[0].name: {said}"]


def test_an_application_name_that_postgresql_would_cut_is_reported(tmp_path: Path) -> None:
    assert mistakes(write(tmp_path, f"apps: [{{name: {'ö' * 40}}}]")) == [
        (
            "1: apps[0].application_name: must have at most 63 bytes: "
            "PostgreSQL truncates it there; "
            f"found '{'ö' * 40}'"
        )
    ]


def test_a_server_and_an_app_may_have_the_same_name(tmp_path: Path) -> None:
    load(write(tmp_path, f"servers: [{{name: x, dsn: '{DSN}'}}]\napps: [{{name: x}}]"))


FORM = "must be a connection string, like postgresql://user@host:5432/database"
ENCODED = (
    "must have the special characters of the password percent-encoded (@ as %40, / as %2F); "
    "password_file needs no encoding"
)


@pytest.mark.parametrize(
    ("dsn", "said"),
    [
        (f"postgresql://u:{SECRET}@h:5432/d?sslmode=require&options=-c%20geqo%3Doff", None),
        ("postgresql://", None),
        ("host=/var/run/postgresql user=exporter", None),
        ("host=@abstract", None),
        ("postgresql://u@[::1]:5432/d", None),
        (f"host=h user='a b' password='{SECRET} @x'", None),
        ("service=main", None),
        ("postgresql://u@h/d?host=%2Ftmp", None),
        (f"postgresql://u:p%40{SECRET}@h/d", None),
        ("", f"{FORM}; it is empty"),
        (SECRET, FORM),
        (f"mysql://u:{SECRET}@h/d", FORM),
        (f"host=h password=a {SECRET}=b", f"{FORM}; it has an unknown parameter"),
        ("postgresql://h?conect_timeout=1", f"{FORM}; did you mean the parameter connect_timeout?"),
        (f"postgresql://u:a@{SECRET}@h/d", ENCODED),
        (f"postgresql://u:1/{SECRET}@h/d", ENCODED),
        (f"host=u:{SECRET}@h", "must have a host without @"),
        (f"postgresql://u:{SECRET}/d", "must have a port from 1 to 65535"),
        ("postgresql://h:0/d", "must have a port from 1 to 65535"),
        ("postgresql://h:65536/d", "must have a port from 1 to 65535"),
        (
            "postgresql://one,two/d",
            "must name one host: give each its own entry",
        ),
        (
            "hostaddr=127.0.0.1,127.0.0.2",
            "must name one host: give each its own entry",
        ),
        (
            "host=h application_name=x connect_timeout=3",
            "must not set application_name, connect_timeout: the exporter sets it itself",
        ),
        (f"host=h password={'x' * 5000}", "must have at most 4096 characters, and no NUL"),
        (f"host=h\0 password={SECRET}", "must have at most 4096 characters, and no NUL"),
    ],
)
def test_connection_strings(dsn: str, said: str | None) -> None:
    """Nothing of a wrong one is repeated: any part of it can be a part of the password."""
    if said is None:
        [main] = from_dsn(dsn, "PG_POOL_EXPORTER_DSN").servers
        assert (main.name, main.dsn.get_secret_value()) == ("main", dsn)
    else:
        with pytest.raises(ConfigError) as caught:
            from_dsn(dsn, "PG_POOL_EXPORTER_DSN")
        assert str(caught.value) == f"PG_POOL_EXPORTER_DSN: {said}"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            "dsn: {with_password}\n  password_file: secret",
            "5: servers[0].password_file: must be left out: the dsn holds a password already",
        ),
        (
            "dsn: {with_password}\n  password_command: [cat]",
            "5: servers[0].password_command: must be left out: the dsn holds a password already",
        ),
        (
            "dsn: {plain}\n  password_file: secret\n  password_command: [cat]",
            "6: servers[0].password_command: must be left out: there is a password_file already",
        ),
    ],
)
def test_a_server_has_one_password(tmp_path: Path, settings: str, said: str) -> None:
    (tmp_path / "secret").write_text(SECRET)
    settings = settings.format(plain=DSN, with_password=f"postgresql://u:{SECRET}@h/d")
    assert mistakes(write(tmp_path, f"# one server\nservers:\n- name: main\n  {settings}")) == [
        said
    ]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://h", None),
        ("https://h:1/p?x=1", None),
        ("h:8080/metrics", "must be a URL, like http://orders:8080/metrics"),
        ("http://", "must be a URL, like http://orders:8080/metrics"),
        ("http://h:70000/", "must be a URL, like http://orders:8080/metrics"),
        ("http://127.1:80/", "must be a URL, like http://orders:8080/metrics"),
        ("http://1.2.3.4.5/", "must be a URL, like http://orders:8080/metrics"),
        ("http://h\\m/", "must be a URL, like http://orders:8080/metrics"),
        ("http://[::1", "must be a URL, like http://orders:8080/metrics"),
        (f"http://{SECRET}@h/", "must not hold a user or a password"),
        ("http://h/#x", "must have no #fragment"),
        ("http://h/a b", "must be a URL of at most 2048 printable characters"),
    ],
)
def test_targets_are_urls(tmp_path: Path, url: str, said: str | None) -> None:
    path = write(tmp_path, f"apps: [{{name: orders, targets: ['{url}']}}]")
    if said is None:
        load(path)
    else:
        assert mistakes(path) == [f"1: apps[0].targets[0]: {said}"]


def test_secrets_are_in_no_repr(tmp_path: Path) -> None:
    (tmp_path / SECRET).write_text("")
    path = write(
        tmp_path,
        f"""
        servers:
          - {{name: one, dsn: "postgresql://u:{SECRET}@h/d"}}
          - {{name: two, dsn: "{DSN}", password_file: {SECRET}}}
          - {{name: three, dsn: "{DSN}", password_command: [echo, {SECRET}]}}
        apps: [{{name: orders, targets: ["http://h/?token={SECRET}"]}}]
        """,
    )
    config = load(path)
    for value in (config, *config.servers, *config.apps):
        assert SECRET not in repr(value)
        assert SECRET not in str(value)


@pytest.mark.parametrize("model", SECTIONS)
def test_the_example_has_every_key(model: type[Section]) -> None:
    text = (Path(__file__).parents[1] / "config.example.yaml").read_text()
    assert [
        key for key in model.model_fields if f"{key}: " not in text and f"{key}:\n" not in text
    ] == []


def test_the_example_is_valid(tmp_path: Path) -> None:
    example = (Path(__file__).parents[1] / "config.example.yaml").read_text()
    names = ("exporter", "stats", "api-key", "orders", "billing-token", "discovery-token")
    for name in ("bin/database-token", *(f"secrets/{name}" for name in names)):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch(mode=0o755)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "secrets/ca.pem"))
    own = authority.issue_cert("exporter.example")
    own.cert_chain_pems[0].write_to_path(str(tmp_path / "secrets/exporter.pem"))
    own.private_key_pem.write_to_path(str(tmp_path / "secrets/exporter.key"))
    config = load(write(tmp_path, example))
    counts = [len(config.servers), len(config.apps), len(config.pgbouncers), len(config.formats)]
    assert counts == [2, 2, 1, 1]


NO_FILES = "log.files: must name the log's files, or sql must be true; found nothing"
LOG_KEYS = "interval, timeout, sql, files, format, line_prefix, wrapping"


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("{sql: true}", []),
        ("{files: [/var/log/*.log]}", []),
        ("{files: [x.log], format: stderr, line_prefix: '%m [%p] ', interval: 10s}", []),
        ("{}", [NO_FILES]),
        ("{files: []}", [NO_FILES]),
        ("{sql: false}", [NO_FILES]),
        ("{format: csv}",
         [NO_FILES, ("log.format: must be one of 'auto', 'stderr', 'csvlog' or 'jsonlog'; "
                     "found 'csv'")]),
        ("{files: [a], sql: true}",
         ["log.files: must be left out: sql is true; found a list"]),
        ("true", ["log: must be a mapping of keys to values"]),
        ("{file: [a], sql: true}",
         [f"log.file: is an unknown key; did you mean files? (known keys: {LOG_KEYS})"]),
        ("{files: a}", ["log.files: must be a list"]),
        ("{files: ['', /x/, 3]}",
         ["log.files[0]: must be a path; found ''",
          ("log.files[1]: must be a path of files, or a pattern like /var/log/postgresql/*.log; "
           "found '/x/'"),
          "log.files[2]: must be text (put it in quotes); found 3"]),
        ("{sql: true, wrapping: cri}", []),
        ("{sql: true, wrapping: kubernetes}",
         [("log.wrapping: must be one of 'auto', 'none', 'docker', 'cri', 'compose', 'syslog', "
           "'cloudnativepg', 'json' or 'csv'; found 'kubernetes'")]),
        ("{sql: true, format: syslog}",
         [("log.format: must be one of 'auto', 'stderr', 'csvlog' or 'jsonlog'; "
           "found 'syslog'")]),
        ("{sql: true, format: csvlog, line_prefix: x}",
         ["log.line_prefix: must be left out: only the format stderr has a prefix; found 'x'"]),
        ("{sql: true, interval: 1s, timeout: 2s}",
         ["log.timeout: must be above 0 and not longer than the interval; found '2s'"]),
    ],
)  # fmt: skip
def test_where_a_log_is_and_how_it_is_written(tmp_path: Path, log: str, said: list[str]) -> None:
    path = server(tmp_path, f"log: {log}")
    if not said:
        load(path)
    else:
        assert mistakes(path) == [f"4: servers[0].{one}" for one in said]


def test_paths_of_logs_are_relative_to_the_file(tmp_path: Path) -> None:
    (one,) = load(server(tmp_path, "log: {files: [log/*.log, /var/log/x]}")).servers
    assert one.log is not None
    assert one.log.files == (str(tmp_path / "log/*.log"), "/var/log/x")
    assert (one.log.interval, one.log.timeout, one.log.format) == (5, 3, "auto")
