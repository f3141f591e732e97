"""Whatever is in place of a file or directory that the configuration names: an error, at once."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from pg_pool_exporter.config import ConfigError, load
from pg_pool_exporter.web import config as web_config

_SERVER = "{name: main, dsn: host=127.0.0.1"
_APP = "apps: [{name: orders, targets: ['https://orders']"
FILES = {
    "servers[0].password_file": f"servers: [{_SERVER}, password_file: PATH}}]",
    "pgbouncers[0].password_file": f"pgbouncers: [{_SERVER}, password_file: PATH}}]",
    "apps[0].tls_config.ca_file": f"{_APP}, tls_config: {{ca_file: PATH}}}}]",
    "apps[0].tls_config.cert_file": f"{_APP}, tls_config: {{cert_file: PATH, key_file: PATH}}}}]",
    "apps[0].bearer_token_file": f"{_APP}, bearer_token_file: PATH}}]",
    "apps[0].basic_auth.password_file": (
        f"{_APP}, basic_auth: {{username: u, password_file: PATH}}}}]"
    ),
    "apps[0].header_files.X-Key": f"{_APP}, header_files: {{X-Key: PATH}}}}]",
    "apps[0].http_sd[0].bearer_token_file": (
        "apps: [{name: orders, http_sd: [{url: 'https://sd', bearer_token_file: PATH}]}]"
    ),
}
WEB_FILES = {
    "tls_server_config.cert_file": "tls_server_config: {cert_file: PATH, key_file: PATH}",
    "tls_server_config.client_ca_file": (
        "tls_server_config: {cert_file: PATH, key_file: PATH, client_ca_file: PATH,\n"
        "client_auth_type: RequireAndVerifyClientCert}"
    ),
}
DIRECTORIES = {"socket_dir": "socket_dir: PATH", "state_dir": "state_dir: PATH"}


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


PLANTS: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: None,
    "directory": Path.mkdir,
    "pipe": os.mkfifo,
    "socket": _socket,
    "dangling link": lambda path: path.symlink_to("nowhere"),
    "loop of links": lambda path: path.symlink_to(path),
    "device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.fixture
def planted(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A path with something in the place of a file."""
    path = tmp_path / "planted"
    request.param(path)
    return path


each_plant = pytest.mark.parametrize("planted", PLANTS.values(), ids=PLANTS, indirect=True)


def mistakes(read: Callable[[Path], object], path: Path, text: str, planted: Path) -> str:
    path.write_text(text.replace("PATH", str(planted)))
    with pytest.raises(ConfigError) as caught:
        read(path)
    return str(caught.value)


@each_plant
@pytest.mark.parametrize("key", FILES)
def test_what_is_no_readable_file_is_refused_with_its_key(
    planted: Path, tmp_path: Path, key: str
) -> None:
    said = mistakes(load, tmp_path / "config.yaml", FILES[key], planted)
    assert f"{key}: names a file that" in said


@each_plant
@pytest.mark.parametrize("key", WEB_FILES)
def test_what_is_no_readable_file_is_refused_in_the_web_configuration(
    planted: Path, tmp_path: Path, key: str
) -> None:
    said = mistakes(web_config.load, tmp_path / "web.yaml", WEB_FILES[key], planted)
    assert f"{key}: names a file that" in said


@each_plant
@pytest.mark.parametrize("read", [load, web_config.load])
def test_a_configuration_that_is_no_readable_file_is_refused(
    planted: Path, read: Callable[[Path], object]
) -> None:
    with pytest.raises(ConfigError, match=r"not a regular file|cannot be read"):
        read(planted)


@each_plant
@pytest.mark.parametrize("key", DIRECTORIES)
def test_what_is_no_directory_is_refused_and_one_that_is_missing_is_not(
    planted: Path, tmp_path: Path, key: str
) -> None:
    path = tmp_path / "config.yaml"
    if planted.is_dir() or not os.path.lexists(planted):
        path.write_text(DIRECTORIES[key].replace("PATH", str(planted)))
        assert load(path)
        return
    said = mistakes(load, path, DIRECTORIES[key], planted)
    assert f"{key}: names a path that" in said
