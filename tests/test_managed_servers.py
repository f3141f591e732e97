"""Managed servers: the documented configurations, with stand-ins for the providers' programs.

The programs need an account. What each of them takes is in its stand-in, from its reference:
https://docs.aws.amazon.com/cli/latest/reference/rds/generate-db-auth-token.html
https://cloud.google.com/sdk/gcloud/reference/sql/generate-login-token
https://learn.microsoft.com/cli/azure/account#az-account-get-access-token
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pg_pool_exporter.config import ServerConfig, load, warnings
from support.examples import blocks
from support.polling import outcome, run, source_of
from support.postgres import Cluster

CONFIGURATIONS = blocks("managed-servers", "yaml")
PROGRAMS = {
    "aws": (
        ["rds", "generate-db-auth-token"], ["hostname", "port", "username", "region"],
        "AWS_WEB_IDENTITY_TOKEN_FILE",
    ),
    "gcloud": (["sql", "generate-login-token"], [], "CLOUDSDK_CONFIG"),
    "az": (
        ["account", "get-access-token"], ["resource-type", "query", "output"], "AZURE_CONFIG_DIR",
    ),
}  # fmt: skip
STAND_IN = """#!{python}
import argparse, os, pathlib, sys

parser = argparse.ArgumentParser(allow_abbrev=False)
for word in {words}:
    parser.add_argument(word, choices=[word])
for flag in {flags}:
    parser.add_argument("--" + flag, required=True)
parser.parse_args()
assert os.environ[{credential!r}] == "/its credentials"
assert "PGPASSWORD" not in os.environ
here = pathlib.Path({directory!r})
with (here / "calls").open("a") as calls:
    calls.write(" ".join(sys.argv[1:]) + "\\n")
print((here / "token").read_text())
"""


class Provider:
    """A provider whose program is a stand-in: it prints the current token."""

    def __init__(self, directory: Path, program: str) -> None:
        self._directory = directory
        words, flags, self.credential = PROGRAMS[program]
        script = directory / program
        script.write_text(
            STAND_IN.format(
                python=sys.executable, words=words, flags=flags, credential=self.credential,
                directory=str(directory),
            )
        )  # fmt: skip
        script.chmod(0o755)

    def gives(self, token: str) -> None:
        (self._directory / "token").write_text(token)

    @property
    def calls(self) -> list[str]:
        return (self._directory / "calls").read_text().splitlines()


def documented(text: str, directory: Path) -> ServerConfig:
    """The one server of a configuration, which is valid and has nothing to warn of."""
    file = directory / "config.yaml"
    file.write_text(text)
    config = load(file)
    assert list(warnings(config, file)) == []
    (server,) = config.servers
    return server


@pytest.mark.parametrize("text", CONFIGURATIONS, ids=PROGRAMS)
def test_each_new_connection_gets_a_new_token(
    locked: Cluster, tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (program, *_) = yaml.safe_load(text)["servers"][0]["password_command"]
    provider = Provider(tmp_path, program)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("PGPASSWORD", "of another server")
    monkeypatch.setenv(provider.credential, "/its credentials")
    server = documented(text, tmp_path)
    role = f"{program}: {conninfo_to_dict(server.dsn.get_secret_value())['user']}"
    locked.run(f'CREATE ROLE "{role}" LOGIN')
    locked.hba([f'host all "{role}" all scram-sha-256'])
    dsn = make_conninfo(locked.dsn(), user=role)

    def expire(number: int) -> None:
        # As long as those of the providers, and with what they have in them.
        token = f"orders:5432/?Action=connect&Token={number}%2F+/=" + "x" * 1500
        provider.gives(token)
        locked.run(f"ALTER ROLE \"{role}\" PASSWORD '{token}'")

    async def main() -> None:
        source = source_of(locked, dsn=dsn, password_command=server.password_command)
        expire(1)
        assert await outcome(source) == "up"
        expire(2)
        assert await outcome(source) == "up"
        assert len(provider.calls) == 1, "the connection that is there needs no other one"
        locked.run(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'"
        )
        await outcome(source)
        assert await outcome(source) == "up"
        assert len(provider.calls) == 2
        await source.close()

    run(main())


def test_the_token_is_for_the_server_and_the_user_that_it_is_used_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Amazon's holds both."""
    Provider(tmp_path, "aws")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    server = documented(CONFIGURATIONS[0], tmp_path)
    parameters = conninfo_to_dict(server.dsn.get_secret_value())
    assert server.password_command is not None
    flags = dict(one.removeprefix("--").split("=") for one in server.password_command[3:])
    assert flags["hostname"] == parameters["host"]
    assert flags["username"] == parameters["user"]
    assert flags["region"] in flags["hostname"].split(".")
    assert flags["port"] == parameters.get("port", "5432")
