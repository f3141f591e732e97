"""deploy/kustomize: the base, and an application under gunicorn with the exporter beside it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.helm import objects, of_kind
from support.kubernetes import program
from support.postgres import Cluster, wait_until
from support.programs import answers, exporter, fetch, free_port, running

ROOT = Path(__file__).parents[1]
BASE = ROOT / "deploy/kustomize/base"
SIDECAR = ROOT / "deploy/kustomize/sidecar"
# What Helm adds for itself, and what only it knows how to compute.
_OF_HELM = ("helm.sh/chart", "app.kubernetes.io/")


def built(folder: Path) -> list[dict[str, Any]]:
    """The objects of a folder."""
    done = subprocess.run(
        [program("kustomize"), "build", folder], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [*yaml.safe_load_all(done.stdout)]


def _comparable(value: Any) -> Any:
    """Without names and labels of Helm's releases, and the hash that Kustomize appends."""
    if isinstance(value, dict):
        return {
            key: _comparable(one)
            for key, one in value.items()
            if not key.startswith(_OF_HELM)
            and key not in ("labels", "matchLabels", "namespace", "checksum/config", "annotations")
        }
    if isinstance(value, list):
        return [_comparable(one) for one in value]
    if isinstance(value, str) and value.startswith(("pools-", "pg-pool-exporter-")):
        return "pg-pool-exporter"
    return value


@pytest.mark.cluster
@pytest.mark.parametrize("kind", ["Deployment", "Service", "ServiceAccount"])
def test_the_base_has_the_objects_of_the_chart(kind: str) -> None:
    ours, chart = of_kind(built(BASE), kind), of_kind(objects(), kind)
    ours, chart = (_comparable(one) for one in (ours, chart))
    for one in (ours, chart):
        one.get("spec", {}).pop("selector", None)
        one.get("spec", {}).get("template", {}).pop("metadata", None)
    assert ours == chart


@pytest.mark.cluster
def test_the_service_of_the_base_finds_its_pods() -> None:
    documents = built(BASE)
    labels = of_kind(documents, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert of_kind(documents, "Service")["spec"]["selector"].items() <= labels.items()


@pytest.mark.cluster
def test_the_sidecar_shares_the_folder_of_the_sockets_and_the_user() -> None:
    pod = of_kind(built(SIDECAR), "Deployment")["spec"]["template"]["spec"]
    app, sidecar = pod["containers"]
    folders = {
        next(one["value"] for one in container["env"] if one["name"].endswith("SOCKET_DIR"))
        for container in (app, sidecar)
    }
    assert folders == {"/run/shared/pools"}
    for container in (app, sidecar):
        assert {"name": "pools", "mountPath": "/run/shared"} in container["volumeMounts"]
        assert "runAsUser" not in container["securityContext"]


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A folder as an emptyDir is: everybody may write."""
    folder = tmp_path / "shared"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    return folder


def test_the_sidecar_shows_every_worker_of_the_application(
    postgres: Cluster, shared: Path, tmp_path: Path
) -> None:
    """Both run as one user; the folder in the shared one is made by whoever comes first."""
    port, page = free_port(), free_port()
    environment = {
        "DATABASE_URL": postgres.dsn(),
        "PG_POOL_EXPORTER_SOCKET_DIR": str(shared / "pools"),
    }
    gunicorn = [
        sys.executable, "-m", "gunicorn", "--workers=2", f"--bind=127.0.0.1:{port}",
        f"--worker-tmp-dir={tmp_path}", "orders:app",
    ]  # fmt: skip
    command = exporter(f"--web.listen-address=127.0.0.1:{page}")
    with (
        running(gunicorn, log=tmp_path / "app.log", environment=environment, directory=SIDECAR),
        running(command, log=tmp_path / "exporter.log", environment=environment),
    ):
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/"), "the application answers")
        wait_until(lambda: answers(f"http://127.0.0.1:{page}/metrics"), "the exporter answers")

        def processes() -> set[str]:
            fetch(f"http://127.0.0.1:{port}/")
            metrics = fetch(f"http://127.0.0.1:{page}/metrics")
            lines = [one for one in metrics.splitlines() if one.startswith("pg_pool_max_conn")]
            return {one for one in lines if 'app="orders"' in one and 'pool="main"' in one}

        wait_until(lambda: len(processes()) == 2, "the pools of both workers")
    assert os.listdir(shared) == ["pools"]  # noqa: PTH208 - its only entry
