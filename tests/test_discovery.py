"""Which targets there are: those of the configuration, and the sockets of running processes."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import permutations
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from pg_pool_exporter.config import AppConfig, BouncerConfig, Config, ServerConfig
from pg_pool_exporter.config.page_address import page_address
from pg_pool_exporter.discovery import Discovery, Target, socket_directory
from pg_pool_exporter.discovery.socket_directory import SocketDirectory
from pg_pool_exporter.model import PoolId, PoolInfo, PoolSample
from pg_pool_exporter.sources.pages.socket_file import SocketFile
from pg_pool_exporter.sources.pages.socket_source import SocketSource
from pg_pool_exporter.sources.pages.target_defaults import TargetDefaults
from pg_pool_exporter.sources.pages.text_source import ExpositionTextSource
from pg_pool_exporter.sources.pgbouncer.source import BouncerSource
from pg_pool_exporter.sources.postgres.source import PostgresSource
from support.busy import within

BOUNCER = {"name": "edge", "dsn": "postgresql://stats:s3cret@bouncer:6432/pgbouncer"}
SERVER = {"name": "main", "dsn": "postgresql://exporter:s3cret@db/postgres"}


@pytest.fixture
def bind(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Makes a socket of a name in the directory and listens, as a process does."""
    with ExitStack() as listening:

        def make(name: str) -> Path:
            path = tmp_path / name
            own = listening.enter_context(socket.socket(socket.AF_UNIX))
            own.bind(str(path))
            own.listen()
            return path

        yield make


def leave_dead(path: Path) -> None:
    """The socket of a process that was killed a minute ago."""
    with socket.socket(socket.AF_UNIX) as own:
        own.bind(str(path))
    then = time.time() - 60
    os.utime(path, (then, then))


def scan(directory: SocketDirectory) -> tuple[SocketFile, ...]:
    """The sockets after another look."""
    asyncio.run(directory.look())
    return directory.sockets


def names(directory: SocketDirectory) -> list[str]:
    """Names of the sockets that are found."""
    return [socket.path.name for socket in scan(directory)]


def processes(of: Discovery) -> dict[str, Target]:
    """The targets that are processes, by name, after another look."""
    asyncio.run(of.look())
    return {one.id.name: one for one in of.targets() if one.id.kind == "process"}


def test_only_real_sockets_with_our_suffix_are_found_sorted(
    tmp_path: Path, bind: Callable[[str], Path]
) -> None:
    for name in ("orders-1.sock", "orders-0.sock", "other", ".hidden.sock", "a\nb.sock"):
        bind(name)
    (tmp_path / "file.sock").touch()
    (tmp_path / "directory.sock").mkdir()
    (tmp_path / "link.sock").symlink_to("orders-0.sock")
    os.mkfifo(tmp_path / "pipe.sock")
    assert names(SocketDirectory(tmp_path)) == ["orders-0.sock", "orders-1.sock"]


def test_a_directory_that_is_not_there_yet_has_no_sockets_and_is_no_problem(
    tmp_path: Path,
) -> None:
    with capture_logs() as logs:
        assert scan(SocketDirectory(tmp_path / "later")) == ()
    assert logs == []


def test_a_directory_that_cannot_be_read_is_reported_once_and_again_after_it_was_well(
    tmp_path: Path,
) -> None:
    path = tmp_path / "sockets"
    directory = SocketDirectory(path)
    with capture_logs() as logs:
        for _ in range(2):
            path.touch()
            assert scan(directory) == ()
            assert scan(directory) == ()
            path.unlink()
            path.mkdir()
            assert scan(directory) == ()
            path.rmdir()
    assert [entry["log_level"] for entry in logs] == ["warning", "info"] * 2
    assert logs[0]["error"] == f"{path} is not a directory"


def test_sockets_beyond_the_limit_are_left_out_and_reported(
    tmp_path: Path, bind: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket_directory, "MAX_SOCKETS", 2)
    for number in range(3):
        bind(f"orders-{number}.sock")
    directory = SocketDirectory(tmp_path)
    with capture_logs() as logs:
        assert len(names(directory)) == 2
    assert "more than 2 sockets" in logs[0]["error"]


def test_entries_beyond_the_limit_are_not_looked_at_and_reported(
    tmp_path: Path, bind: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket_directory, "MAX_ENTRIES", 2)
    directory = SocketDirectory(tmp_path)
    with capture_logs() as logs:
        bind("orders-0.sock")
        (tmp_path / "other").touch()
        assert names(directory) == ["orders-0.sock"]
        assert logs == []
        (tmp_path / "another").touch()
        scan(directory)
        scan(directory)
        (tmp_path / "another").unlink()
        assert names(directory) == ["orders-0.sock"]
    assert [entry["log_level"] for entry in logs] == ["warning", "info"]
    assert "more than 2 entries" in logs[0]["error"]


def test_entries_beyond_the_limit_hide_no_socket_that_is_polled_already(
    tmp_path: Path, bind: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket_directory, "MAX_ENTRIES", 2)
    directory = SocketDirectory(tmp_path)
    for name in ("orders-0.sock", "orders-1.sock"):
        bind(name)
    assert names(directory) == ["orders-0.sock", "orders-1.sock"]
    for number in range(300):
        (tmp_path / f"{number}").touch()
    assert names(directory) == ["orders-0.sock", "orders-1.sock"]
    (tmp_path / "orders-0.sock").unlink()
    assert names(directory) == ["orders-1.sock"]


@pytest.mark.parametrize("spoil", ["link", "open", "foreign"])
def test_an_unsafe_directory_is_not_read(
    tmp_path: Path, bind: Callable[[str], Path], spoil: str
) -> None:
    """The same rule as for processes: another user could pretend to be an application."""
    bind("orders-0.sock")
    path = tmp_path
    if spoil == "link":
        path = tmp_path.parent / f"{tmp_path.name}-link"
        path.symlink_to(tmp_path)
    elif spoil == "open":
        tmp_path.chmod(0o777)
    elif os.geteuid() == 0:
        os.chown(tmp_path, 12345, -1)
    else:
        pytest.skip("needs root")
    directory = SocketDirectory(path)
    with capture_logs() as logs:
        assert names(directory) == []
        assert names(directory) == []
    [line] = logs
    assert str(path) in line["error"]


def test_thousands_of_dead_sockets_hide_no_live_one_and_cost_one_line(
    tmp_path: Path, bind: Callable[[str], Path]
) -> None:
    for number in range(3000):
        leave_dead(tmp_path / f"crashed-{number}.sock")
    bind("orders-0.sock")
    directory = SocketDirectory(tmp_path)
    started = time.monotonic()
    with capture_logs() as logs:
        assert names(directory) == ["orders-0.sock"]
    assert time.monotonic() - started < within(2)
    assert [(line["event"], line["count"]) for line in logs] == [("dead sockets removed", 3000)]
    assert [path.name for path in tmp_path.iterdir()] == ["orders-0.sock"]


def test_dead_sockets_that_cannot_be_removed_are_reported_once(
    tmp_path: Path, bind: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        leave_dead(tmp_path / f"crashed-{number}.sock")
    bind("orders-0.sock")
    directory = SocketDirectory(tmp_path)

    def refuse(_path: Path, **_options: bool) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "unlink", refuse)
    with capture_logs() as logs:
        for _ in range(3):
            assert names(directory) == ["orders-0.sock"]
    assert len(logs) == 1
    assert "may not remove" in logs[0]["error"]


def test_known_sockets_come_first_under_the_limit_and_then_the_newest(
    tmp_path: Path, bind: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket_directory, "MAX_SOCKETS", 2)
    bind("z-0.sock")
    directory = SocketDirectory(tmp_path)
    assert names(directory) == ["z-0.sock"]
    for number, name in enumerate(("b-0.sock", "c-0.sock", "a-0.sock")):
        os.utime(bind(name), (number, number))
    assert names(directory) == ["a-0.sock", "z-0.sock"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's socket")
def test_many_sockets_of_one_user_leave_room_for_another_s(
    tmp_path: Path, bind: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket_directory, "MAX_SOCKETS", 4)
    directory = SocketDirectory(tmp_path)
    for number in range(6):
        os.chown(bind(f"many-{number}.sock"), 65534, -1)
    assert len(names(directory)) == 4
    bind("orders-0.sock")
    assert "orders-0.sock" in names(directory)


def test_a_socket_that_is_bound_and_does_not_listen_yet_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "orders-0.sock"
    directory = SocketDirectory(tmp_path)
    with socket.socket(socket.AF_UNIX) as own:
        own.bind(str(path))
        assert names(directory) == []
        assert path.exists()
        own.listen()
        assert names(directory) == ["orders-0.sock"]


def test_a_directory_that_hangs_keeps_its_sockets_and_is_reported(
    tmp_path: Path, bind: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    bind("orders-0.sock")
    directory = SocketDirectory(tmp_path)
    assert names(directory) == ["orders-0.sock"]
    goes_on = threading.Event()
    monkeypatch.setattr(socket_directory, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(socket_directory, "check_directory", lambda _path: goes_on.wait(10))
    with capture_logs() as logs:
        for _ in range(3):
            assert names(directory) == ["orders-0.sock"]
        assert len(logs) == 1
        assert "hung" in logs[0]["error"]
        goes_on.set()
        assert names(directory) == ["orders-0.sock"]
    assert len(logs) == 2


def test_a_directory_that_is_gone_is_not_said_to_be_well_again(tmp_path: Path) -> None:
    path = tmp_path / "sockets"
    directory = SocketDirectory(path)
    with capture_logs() as logs:
        path.touch()
        scan(directory)
        path.unlink()
        scan(directory)
        assert [entry["log_level"] for entry in logs] == ["warning"]
        path.mkdir()
        scan(directory)
    assert logs[1]["event"] == "socket directory recovered"


def test_a_directory_that_goes_during_a_look_costs_nothing_but_that_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_path: object) -> None:
        raise FileNotFoundError

    directory = SocketDirectory(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "statvfs", gone)
        assert scan(directory) == ()
    assert scan(directory) == ()


def test_a_process_comes_and_goes_with_its_socket(
    tmp_path: Path, bind: Callable[[str], Path]
) -> None:
    found = Discovery(Config(socket_dir=str(tmp_path)))
    assert processes(found) == {}
    path = bind("orders-0.sock")
    assert list(processes(found)) == ["orders-0"]
    path.unlink()
    assert processes(found) == {}


def test_a_socket_that_stays_is_the_same_target_and_one_made_anew_is_another(
    tmp_path: Path, bind: Callable[[str], Path]
) -> None:
    found = Discovery(Config(socket_dir=str(tmp_path)))
    path = bind("orders-0.sock")
    first = processes(found)["orders-0"]
    path.chmod(0o660)
    assert processes(found)["orders-0"] == first
    path.unlink()
    bind("orders-0.sock")
    assert processes(found)["orders-0"] != first


def test_no_directory_is_looked_into_when_the_configuration_says_so(
    tmp_path: Path, bind: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PG_POOL_EXPORTER_SOCKET_DIR", str(tmp_path))
    bind("orders-0.sock")
    assert list(processes(Discovery(Config()))) == ["orders-0"]
    assert processes(Discovery(Config(socket_dir=""))) == {}


def config(**keys: object) -> Config:
    """A configuration that reads no sockets."""
    return Config.model_validate({"socket_dir": "", **keys})


def test_servers_bouncers_and_the_pages_of_apps_are_targets() -> None:
    app = {
        "name": "orders",
        "interval": "10s",
        "targets": ["http://orders-1:8080", "https://orders-2/m?token=s3cret"],
    }
    configured = config(servers=[SERVER | {"timeout": "1s"}], apps=[app], pgbouncers=[BOUNCER])
    targets = Discovery(configured).targets()
    assert [(t.id.kind, t.id.label, t.interval, t.timeout) for t in targets] == [
        ("server", "main", 5.0, 1.0),
        ("bouncer", "edge", 5.0, 3.0),
        ("app", "orders@orders-1:8080", 10.0, 3.0),
        ("app", "orders@orders-2:443/m~94003cd6", 10.0, 3.0),
    ]
    assert "s3cret" not in repr(targets)


def test_what_is_noted_of_a_server_outlives_a_reload_and_goes_with_the_server() -> None:
    first = Discovery(config(servers=[SERVER]))
    app = {"name": "orders"}
    second = Discovery(config(servers=[SERVER, SERVER | {"name": "other"}], apps=[app]), first)
    (server,) = first.log_contexts
    assert second.log_contexts[server] is first.log_contexts[server]
    assert len(second.log_contexts) == 2
    assert not Discovery(config(servers=[]), second).log_contexts


def page_names(*urls: str) -> dict[str, str]:
    """What the pages of an application are called, by their address."""
    targets = Discovery(config(apps=[{"name": "a", "targets": urls}])).targets()
    return {target.settings[0].address.text: target.id.label for target in targets}


PAGES = (
    "http://proxy/m?page=1", "http://proxy/m?page=2", "https://proxy/m", "http://proxy/m",
    "http://proxy:8080/metrics", "http://proxy:8080/m2", "http://[::1]:8080/metrics",
    "unix:/o.sock:/m?b", "unix:/o.sock:/m?a", "unix:/o.sock:/metrics", "unix:/o@:b:/metrics",
)  # fmt: skip


def test_a_page_has_the_same_name_whatever_other_pages_there_are_in_whatever_order() -> None:
    alone = {url: page_names(url)[url] for url in PAGES}
    assert len(set(alone.values())) == len(PAGES)
    for length in (2, 3):
        for some in permutations(PAGES, length):
            assert page_names(*some) == {url: alone[url] for url in some}


def test_a_name_is_made_of_the_address_without_what_can_be_secret() -> None:
    names = page_names(*PAGES)
    assert names["http://proxy:8080/metrics"] == "a@proxy:8080"
    assert names["http://proxy:8080/m2"] == "a@proxy:8080/m2"
    assert names["https://proxy/m"] == "a@proxy:443/m"
    assert names["unix:/o.sock:/metrics"] == "a@unix:/o.sock"
    (name,) = page_names("http://proxy/m?token=s3cret").values()
    assert name.startswith("a@proxy:80/m~")
    assert "s3cret" not in name


def test_two_spellings_of_one_address_are_one_page() -> None:
    assert (
        len(page_names("http://Proxy:80", "http://proxy/metrics", "HTTP://proxy:80/metrics")) == 1
    )


def test_processes_of_one_host_keep_their_names_when_another_page_is_added() -> None:
    def names(*urls: str) -> list[str]:
        found = Discovery(config(apps=[{"name": "a", "targets": urls}])).targets()
        return [target.settings[0].defaults.process for target in found]

    (alone,) = names("http://web:8080/m1")
    assert alone in names("http://web:8080/m1", "http://web:8080/m2")


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("unix:/run/orders.sock", True),
        ("unix:/run/a@b:c.sock", True),
        ("unix:/run/a@b:c.sock:/m?x=y@z", True),
        ("http://127.0.0.1:8080/m@n", True),
        ("http://[::1]:8080", True),
        ("http://localhost", True),
        ("http://web-1.example:8080/a@127.0.0.1:80", False),
        ("http://192.0.2.1?u@localhost", False),
    ],
)
def test_a_page_is_local_when_its_host_is_this_machine_or_it_is_at_a_socket(
    url: str, local: bool
) -> None:
    (target,) = Discovery(config(apps=[{"name": "a", "targets": [url]}])).targets()
    assert target.is_local is local


def test_a_socket_has_a_path_with_any_character() -> None:
    address = page_address("unix:/run/a@b:c.sock:/m")
    assert (address.socket, address.path) == ("/run/a@b:c.sock", "/m")
    assert page_address("unix:/run/a@b:c.sock").socket == "/run/a@b:c.sock"


def test_the_application_of_a_process_is_read_from_its_sockets_name(
    tmp_path: Path, bind: Callable[[str], Path]
) -> None:
    bind("web-shop-12.sock")
    (target,) = processes(Discovery(Config(socket_dir=str(tmp_path)))).values()
    assert (target.id.app, target.is_local) == ("web-shop", True)


def test_what_the_configuration_tells_of_an_application_is_known_of_its_pools() -> None:
    app = {
        "name": "orders",
        "server": "main",
        "application_name": "orders-api",
        "max_connections": 20,
        "targets": [
            "http://orders-1:8080",
            "http://orders-2/a",
            "http://orders-2/b",
            "unix:/o.sock",
        ],
    }
    pages = [target.settings[0] for target in Discovery(config(apps=[app])).targets()]
    assert [page.defaults.process for page in pages] == [
        "orders-1:8080",
        "orders-2:80/a",
        "orders-2:80/b",
        "unix:/o.sock",
    ]
    defaults = pages[0].defaults
    sample = defaults.complete(PoolSample(key=PoolId("orders", "main", "p")))
    assert sample.max == 20
    assert sample.info == PoolInfo(server="main", application="orders-api")


def test_what_a_page_says_itself_stays() -> None:
    defaults = TargetDefaults(app="a", process="p", server="s", application="b", max_connections=20)
    info = PoolInfo(server="own", application="own", host="h")
    sample = PoolSample(key=PoolId("orders", "main", "own"), max=5, info=info)
    assert defaults.complete(sample) == sample


def test_a_target_is_the_same_after_a_reload_unless_something_of_it_changed() -> None:
    apps = [{"name": "orders", "targets": ["http://orders"]}]
    former = Discovery(config(servers=[SERVER], apps=apps))

    def targets(**change: object) -> tuple[Target, ...]:
        return Discovery(config(servers=[SERVER | change], apps=apps), former).targets()

    assert targets() == former.targets()
    assert targets() == targets()
    assert {*targets()} == {*targets()}
    for change in ({"interval": "6s"}, {"dsn": "postgresql://db2/postgres"}, {"max_groups": 7}):
        assert len({*targets(), *targets(**change)}) == 3


def test_each_kind_of_target_makes_its_own_source(
    tmp_path: Path, bind: Callable[[str], Path]
) -> None:
    bind("orders-0.sock")
    found = Discovery(
        Config(
            socket_dir=str(tmp_path),
            servers=(ServerConfig.model_validate(SERVER),),
            pgbouncers=(BouncerConfig.model_validate(BOUNCER),),
            apps=(AppConfig(name="orders", targets=("http://orders",)),),
        )
    )
    asyncio.run(found.look())
    assert {target.id.kind: type(target.source()) for target in found.targets()} == {
        "server": PostgresSource,
        "app": ExpositionTextSource,
        "process": SocketSource,
        "bouncer": BouncerSource,
    }
