"""Valid configurations that are likely to be unsafe: a warning names what, where and the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from pg_pool_exporter.config import load, warnings
from pg_pool_exporter.web import config as web_config
from support.configuration import write


def of(path: Path) -> list[str]:
    return [*warnings(load(path), path)]


@pytest.mark.parametrize(
    ("dsn", "warned"),
    [
        ("postgresql://u@db.example/postgres", True),
        ("postgresql://u@db.example/postgres?sslmode=require", True),
        ("postgresql://u@db.example/postgres?sslmode=verify-ca", True),
        ("postgresql://u@db.example/postgres?sslmode=verify-full", False),
        ("postgresql://u@db.example/postgres?sslrootcert=system", False),
        ("host=db.example require_auth=scram-sha-256", False),
        ("host=db.example require_auth=scram-sha-256,password", True),
        ("host=db.example require_auth=md5", True),
        ("host=db.example require_auth=!password,!md5", False),
        ("host=db.example require_auth=!password", True),
        ("host=127.0.0.1", False),
        ("host=localhost", False),
        ("hostaddr=::1 host=db.example", False),
        ("hostaddr=192.0.2.1 host=localhost", True),
        ("host=/run/postgresql", False),
        ("dbname=postgres", False),
        ("service=main", False),
    ],
)
@pytest.mark.parametrize("section", ["servers", "pgbouncers"])
def test_a_password_that_can_be_asked_for_in_clear_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dsn: str, warned: bool, section: str
) -> None:
    for variable in ("PGHOST", "PGHOSTADDR", "PGSSLMODE", "PGREQUIREAUTH", "PGSERVICE"):
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / "password").touch(0o600)
    path = write(tmp_path, f"{section}: [{{name: main, dsn: '{dsn}', password_file: password}}]\n")
    found = of(path)
    assert len(found) == warned
    assert all("main" in one and "sslmode=verify-full" in one for one in found)


def test_without_a_password_nothing_can_be_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    path = write(tmp_path, "servers: [{name: main, dsn: host=db.example}]\n")
    assert of(path) == []
    monkeypatch.setenv("PGPASSWORD", "x")
    assert len(of(path)) == 1


def test_secrets_that_every_user_can_read(tmp_path: Path) -> None:
    names = ("server", "basic", "bearer", "header", "list")
    for name in names:
        (tmp_path / name).write_text("hunter2")
        (tmp_path / name).chmod(0o644)
    path = write(
        tmp_path,
        """
        servers:
          - {name: main, dsn: host=127.0.0.1, password_file: server}
          - {name: other, dsn: host=127.0.0.1 password=hunter2}
        apps:
          - name: a
            basic_auth: {username: u, password_file: basic}
            header_files: {X-Key: header}
            http_sd: [{url: "https://x/", bearer_token_file: list}]
          - {name: b, bearer_token_file: bearer}
        """,
    )
    path.chmod(0o644)
    found = of(path)
    assert len(found) == len(names) + 1
    for name in (*names, path.name):
        assert sum(f"{tmp_path / name} " in one and "chmod o-r" in one for one in found) == 1
    for name in (*names, path.name):
        (tmp_path / name).chmod(0o640)
    assert of(path) == []


@pytest.mark.parametrize("mode", [0o640, 0o644])
def test_hashes_of_passwords_that_every_user_can_read(tmp_path: Path, mode: int) -> None:
    path = write(tmp_path, f"basic_auth_users: {{u: {'$2b$10$' + 'a' * 53}}}\n")
    path.chmod(mode)
    found = [f"{path} holds a secret and every user of this host can read it: chmod o-r"]
    assert [*web_config.load(path).warnings] == (found if mode == 0o644 else [])


def test_settings_that_every_user_can_change(tmp_path: Path) -> None:
    path = write(tmp_path, "servers: []\n")
    path.chmod(0o662)
    changed = [f"{path} can be changed by every user of this host: chmod o-w"]
    assert of(path) == changed
    path.write_text("basic_auth_users: {}\n")
    assert [*web_config.load(path).warnings] == changed
