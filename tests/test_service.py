"""The service of systemd: what the documented commands have made when it is enabled."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import require
from pg_pool_exporter.config import load, warnings
from support.examples import blocks

ROOT = Path(__file__).parents[1]
CONSOLE = blocks("run-as-a-service", "console")[0]
UNIT = "pg-pool-exporter.service"
CONFIGURATION = "servers: [{name: main, dsn: postgresql://exporter@127.0.0.1/postgres}]\n"
pytestmark = [pytest.mark.debian, pytest.mark.slow]


@pytest.fixture(scope="module")
def host() -> Iterator[Path]:
    """The file system of a host after the documented commands, up to the last one."""
    require(shutil.which("systemd-analyze"), "Debian's package systemd")
    require(os.geteuid() == 0, "root")
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for unit in ("sysinit", "basic", "shutdown", "network-online"):
            target = root / f"usr/lib/systemd/system/{unit}.target"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text("[Unit]\nDescription=Of the distribution\n")
        (root / "bin").mkdir()
        shutil.copy("/bin/kill", root / "bin/kill")
        *commands, last = re.findall(r"^# (.*?)(?:    #.*)?$", CONSOLE, re.MULTILINE)
        assert "enable --now pg-pool-exporter" in last
        (root / "config.yaml").write_text(CONFIGURATION)
        for command in commands:
            _run(_inside(root, command))
        yield root


def _inside(root: Path, command: str) -> str:
    """The command, for a host whose root is that directory."""
    if command.startswith("python3 -m venv"):
        return ":"
    if "/bin/pip install" in command:
        # As a package does: no index, and no build beside the one of this checkout.
        prefix = command.partition("/bin/pip")[0]
        return (
            f"{sys.executable} -m pip install --quiet --no-deps --no-build-isolation --no-index "
            f"--disable-pip-version-check --ignore-installed --root={root} --prefix={prefix} {ROOT}"
        )
    if command.startswith("usermod"):
        return ":"
    command = re.sub(r"(systemd-(?:sysusers|tmpfiles))", rf"\1 --root={root}", command)
    command = re.sub(r" (/etc/)", rf" {root}\1", command)
    command = re.sub(r"-o (\S+)", lambda found: f"-o {_ids(root, found[1])[0]}", command)
    return command.replace(" config.yaml", f" {root}/config.yaml")


def _ids(root: Path, user: str) -> tuple[int, int]:
    """User and group of a name, on that host."""
    entries = (line.split(":") for line in (root / "etc/passwd").read_text().splitlines())
    return next((int(entry[2]), int(entry[3])) for entry in entries if entry[0] == user)


def _run(command: str) -> None:
    done = subprocess.run(
        command, shell=True, cwd=ROOT, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, f"{command}: {done.stderr}"


def _verify(root: Path) -> str:
    """What systemd finds wrong with the unit."""
    done = subprocess.run(
        ["systemd-analyze", "verify", f"--root={root}", UNIT],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stderr


def test_systemd_finds_nothing_wrong_with_the_unit_and_its_program(host: Path) -> None:
    assert _verify(host) == ""
    program = host / "opt/pg-pool-exporter/bin/pg-pool-exporter"
    program.rename(f"{program}.away")
    try:
        assert "is not executable" in _verify(host)
    finally:
        Path(f"{program}.away").rename(program)


def test_only_the_exporter_reads_its_configuration_which_is_there_before_it_starts(
    host: Path,
) -> None:
    unit = (host / "etc/systemd/system" / UNIT).read_text()
    (path,) = re.findall(r"--config\.file=(\S+)", unit)
    file = host / path.lstrip("/")
    uid, gid = _ids(host, *re.findall(r"^User=(.*)$", unit, re.MULTILINE))
    assert uid != 0
    for one, mode in ((file, 0o600), (file.parent, 0o700)):
        status = one.stat()
        assert (stat.S_IMODE(status.st_mode), status.st_uid) == (mode, uid)
    assert list(warnings(load(file), file)) == []
    (group,) = re.findall(r"^Group=(.*)$", unit, re.MULTILINE)
    assert f"{group}:x:{gid}:" in (host / "etc/group").read_text().splitlines()


def test_applications_of_the_group_may_put_sockets_into_the_directory(host: Path) -> None:
    status = (host / "run/pg-pool-exporter").stat()
    assert stat.S_IMODE(status.st_mode) == 0o3770
    assert (status.st_uid, status.st_gid) == (0, _ids(host, "pg-pool-exporter")[1])
