"""deploy/compose, as far as it can be checked without an engine that runs containers."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import require
from pg_pool_exporter.config import ServerConfig, load
from pg_pool_exporter.model import Snapshot
from pg_pool_exporter.sources.server_log import log_source
from pg_pool_exporter.sources.server_log.context import ServerLogContext
from support.postgres import EMBEDDED_16, Cluster
from support.programs import PROMTOOL

ROOT = Path(__file__).parents[1]
COMPOSE = ROOT / "deploy/compose"
# The loader that docker compose itself uses.
LOADER = "github.com/compose-spec/compose-go/v2/cmd@v2.9.0"


@pytest.fixture(scope="module")
def project() -> Any:
    """The project as docker compose understands it, with all paths absolute."""
    require(shutil.which("go"), "Go")
    loaded = subprocess.run(
        ["go", "run", LOADER, "-format", "json", COMPOSE / "compose.yaml"],
        cwd=COMPOSE, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert loaded.returncode == 0, loaded.stderr
    return json.loads(loaded.stdout)


def mounted(project: Any) -> dict[str, Path]:
    """What files of this repository containers see, by service and path."""
    return {
        f"{name}:{volume['target']}": Path(volume["source"])
        for name, service in project["services"].items()
        for volume in service.get("volumes", [])
        if volume["type"] == "bind"
    }


def test_every_mounted_path_exists_and_is_read_only(project: Any) -> None:
    paths = mounted(project)
    assert len(paths) > 8
    assert [str(path) for path in paths.values() if not path.exists()] == []
    for service in project["services"].values():
        for volume in service.get("volumes", []):
            assert volume["type"] == "volume" or volume["read_only"] is True


def test_every_image_has_a_version(project: Any) -> None:
    images = {
        service["image"] for service in project["services"].values() if "build" not in service
    }
    assert len(images) == 4
    for image in images:
        assert re.search(r":v?\d+\.\d+(\.\d+)?(-[\w-]+)?$", image), image


def test_nothing_is_served_beyond_this_host(project: Any) -> None:
    ports = [port for service in project["services"].values() for port in service.get("ports", [])]
    assert len(ports) == 4
    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}


def test_the_image_is_a_stage_of_the_one_dockerfile(project: Any) -> None:
    builds = [service["build"] for service in project["services"].values() if "build" in service]
    assert len(builds) == 5
    for build in builds:
        dockerfile = (Path(build["context"]) / build["dockerfile"]).read_text()
        assert re.search(rf"^FROM .* AS {build['target']}$", dockerfile, re.MULTILINE)


def test_the_applications_are_kinds_of_the_demonstration(project: Any) -> None:
    commands = [
        service["command"]
        for name, service in project["services"].items()
        if name.startswith("shop-")
    ]
    assert len(commands) >= 3
    for module, kind, *_ in commands:
        source = (ROOT / "src" / module.replace(".", "/")).with_suffix(".py").read_text()
        assert f'"{kind}":' in source


def test_the_exporter_accepts_its_configuration() -> None:
    config = load(COMPOSE / "exporter.yaml")
    assert [server.name for server in config.servers] == ["postgres"]


def test_the_server_begins_with_a_log_that_the_exporter_may_read(project: Any) -> None:
    """With the settings of its command, after the scripts that its image runs at first."""
    require(shutil.which("psql"), "Debian's package postgresql-client")
    program, *arguments = project["services"]["postgres"]["command"]
    assert program == "postgres"
    settings = dict(one.removeprefix("--").split("=", 1) for one in arguments)
    paths = {where.partition(":")[2]: path for where, path in mounted(project).items()}
    script = paths["/docker-entrypoint-initdb.d/roles.sql"].read_text()
    for where, path in paths.items():
        script = script.replace(where, str(path))
    (entry,) = yaml.safe_load((COMPOSE / "exporter.yaml").read_text())["servers"]

    async def poll(server: ServerConfig) -> Snapshot:
        source = log_source(server, "", ServerLogContext())
        try:
            return await source.poll()
        finally:
            await source.close()

    with Cluster(EMBEDDED_16, settings=settings) as cluster:
        subprocess.run(
            ["psql", "--no-psqlrc", "--set=ON_ERROR_STOP=1", cluster.dsn()],
            input=script, text=True, check=True, capture_output=True,
        )  # fmt: skip
        server = ServerConfig.model_validate({**entry, "dsn": cluster.dsn(user="exporter")})
        assert asyncio.run(poll(server)).log is not None


@pytest.mark.debian
def test_prometheus_accepts_its_configuration_and_rules(project: Any, tmp_path: Path) -> None:
    """Laid out as in the container."""
    require(PROMTOOL.exists(), "Debian's package prometheus")
    for where, source in mounted(project).items():
        service, _, target = where.partition(":")
        if service == "prometheus":
            place = tmp_path / Path(target).relative_to("/etc/prometheus")
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, place)
    checked = subprocess.run(
        [PROMTOOL, "check", "config", tmp_path / "prometheus.yml"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout.count("rules found") >= 5


@pytest.mark.debian
def test_alertmanager_accepts_its_configuration(project: Any) -> None:
    require(shutil.which("amtool"), "Debian's package prometheus-alertmanager")
    (file,) = (
        path for where, path in mounted(project).items() if where.startswith("alertmanager:")
    )
    checked = subprocess.run(
        ["amtool", "check-config", file], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr + checked.stdout


def test_grafana_finds_its_data_source_and_all_dashboards(project: Any) -> None:
    (source,) = provisioned("datasources")["datasources"]
    prometheus = yaml.safe_load((COMPOSE / "prometheus.yml").read_text())
    assert source["type"] == "prometheus"
    assert source["url"] == "http://prometheus:9090"
    # What the dashboards make $__rate_interval from.
    assert source["jsonData"]["timeInterval"] == prometheus["global"]["scrape_interval"]
    (provider,) = provisioned("dashboards")["providers"]
    there = {
        path.name
        for where, path in mounted(project).items()
        if where.startswith(f"grafana:{provider['options']['path']}/")
    }
    assert there == {path.name for path in (ROOT / "dashboards").glob("*.json")}


def provisioned(what: str) -> Any:
    """The one file of a kind in Grafana's provisioning directory."""
    (path,) = (COMPOSE / "grafana" / what).iterdir()
    content = yaml.safe_load(path.read_text())
    assert content["apiVersion"] == 1
    return content
