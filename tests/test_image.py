"""The container image: built without a registry, started as Kubernetes would, and scraped."""

from __future__ import annotations

import os
import re
import shutil
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

import pytest

from conftest import require
from pg_pool_exporter import __version__
from support.postgres import wait_until
from support.programs import answers, fetch, free_port, running

# Built once, by one worker.
pytestmark = pytest.mark.xdist_group("image")

ROOT = Path(__file__).parents[1]
DOCKERFILE = ROOT / "deploy/image/Dockerfile"
UID = 10001
MOST_MEGABYTES = 150
DEBIAN = "trixie"
"""What the tag of the Dockerfile's base stands for."""


def _run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout.strip()


def _copied() -> Iterator[str]:
    """The paths of the repository that the image is made of."""
    for copied in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE.read_text(), re.MULTILINE):
        yield from copied.split()


def _ignored(path: str, patterns: Sequence[str]) -> bool:
    """By .dockerignore: the last pattern that matches the path or a folder above it decides."""
    ignored = False
    for pattern in patterns:
        wanted = pattern.removeprefix("!")
        parents = [path, *map(str, Path(path).parents)]
        if any(fnmatch(one, wanted) for one in parents if one != "."):
            ignored = not pattern.startswith("!")
    return ignored


def test_what_the_image_copies_exists_and_is_sent_to_the_builder() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    paths = [*_copied()]
    assert len(paths) >= 8
    for path in paths:
        assert (ROOT / path).exists(), path
        assert not _ignored(path, patterns), path
    for secret in (".git/config", ".env", "tests/conftest.py", "deploy/compose/roles.sql"):
        assert _ignored(secret, patterns), secret


def test_the_version_and_the_base_are_named() -> None:
    text = DOCKERFILE.read_text()
    assert f"ARG VERSION={__version__}\n" in text
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", text, re.MULTILINE))
    bases = set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) - stages
    assert bases == {"debian:13-slim", "scratch"}


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The file system of a container of the image, built on a base made by debootstrap."""
    require(os.geteuid() == 0, "root")
    require(shutil.which("debootstrap"), "Debian's package debootstrap")
    require(shutil.which("buildah"), "Debian's package buildah")
    scratch = tmp_path_factory.mktemp("image")
    base = scratch / "base"
    mirror = _run(
        "apt-get", "indextargets", "--format", "$(REPO_URI)",
        "Created-By: Packages", "Label: Debian",
    ).split()[0]  # fmt: skip
    if made := os.environ.get("PGPE_DEBIAN_BASE"):
        # A folder that debootstrap has filled before.
        base = Path(made)
    else:
        _run("debootstrap", "--variant=minbase", DEBIAN, base, mirror)
    storage = (
        "--storage-driver", "vfs", "--root", scratch / "storage", "--runroot", scratch / "run"
    )  # fmt: skip
    empty = _run("buildah", *storage, "from", "scratch")
    # As Debian's own slim image is made: without what only people read.
    for folder in ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info"):
        shutil.rmtree(base / folder, ignore_errors=True)
    for leftover in (base / "var/cache/apt/archives").glob("*.deb"):
        leftover.unlink()
    shutil.rmtree(base / "var/lib/apt/lists", ignore_errors=True)
    (base / "etc/dpkg/dpkg.cfg.d").mkdir(parents=True, exist_ok=True)
    (base / "etc/dpkg/dpkg.cfg.d/slim").write_text(
        "".join(f"path-exclude /usr/share/{one}/*\n" for one in ("doc", "man", "locale", "info"))
    )
    _run("buildah", *storage, "copy", "--quiet", empty, base, "/")
    _run("buildah", *storage, "commit", "--quiet", empty, "docker.io/library/debian:13-slim")
    # The authorities that this machine trusts, where packages come through a mirror of its own.
    trusted = os.environ.get("PIP_CERT") or ssl.get_default_verify_paths().cafile
    settings = scratch / "pip.conf"
    settings.write_text("[global]\ncert = /trusted.pem\n")
    _run(
        "buildah", *storage, "bud", "--isolation", "chroot", "--pull-never", "--layers=false",
        f"--volume={trusted}:/trusted.pem:ro", f"--volume={settings}:/etc/pip.conf:ro",
        "--file", DOCKERFILE, "--tag", "exporter", ROOT,
    )  # fmt: skip
    container = _run("buildah", *storage, "from", "--pull-never", "exporter")
    yield Path(_run("buildah", *storage, "mount", container))
    _run("buildah", *storage, "rm", "--all")


@pytest.mark.slow
@pytest.mark.debian
def test_the_image_is_small_and_has_only_what_runs(image: Path) -> None:
    # -x: no mounted file system counts; --apparent-size: what a registry would store.
    size = int(_run("du", "-sx", "--apparent-size", "--block-size=MB", image).split("MB")[0])
    assert size < MOST_MEGABYTES
    for name in ("bin/sh", "usr/bin/bash", "usr/bin/dpkg", "usr/bin/apt", "usr/bin/perl"):
        assert not (image / name).exists(), name
    assert not [*image.glob("opt/pg-pool-exporter/bin/pip*")]
    assert not (image / "src").exists()
    assert not (image / "build").exists()


@pytest.mark.slow
@pytest.mark.debian
def test_the_image_runs_as_its_user_on_a_read_only_root_and_is_scraped(
    image: Path, tmp_path: Path
) -> None:
    port = free_port()
    # What a container engine does: its own mounts, the root read-only, the user by number.
    inside = (
        f"mount --bind {image} {image} && mount -o remount,bind,ro {image} && "
        f"mount --rbind /proc {image}/proc && "
        "exec env -i PATH=/opt/pg-pool-exporter/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1 "
        f"/usr/sbin/chroot --userspec={UID}:{UID} {image} "
        f"/opt/pg-pool-exporter/bin/pg-pool-exporter --web.listen-address=127.0.0.1:{port}"
    )
    with running(["unshare", "--mount", "sh", "-c", inside], log=tmp_path / "log") as process:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: answers(f"{url}/-/healthy"), "the exporter answers", 60)
        page = fetch(f"{url}/metrics")
        status = Path(f"/proc/{process.pid}/status").read_text()
    assert f'pg_pool_exporter_build_info{{version="{__version__}"' in page
    assert re.search(rf"^Uid:(\t{UID}){{4}}$", status, re.MULTILINE)
