"""The Helm chart's objects."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import yaml

from support.kubernetes import program

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy/helm/pg-pool-exporter"


def helm(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """What Helm answers. It sees no settings of this machine."""
    with tempfile.TemporaryDirectory() as home:
        homes = {f"HELM_{one}_HOME": home for one in ("CACHE", "CONFIG", "DATA")}
        return subprocess.run(
            [program("helm"), *arguments],
            capture_output=True, text=True, check=False, env={**os.environ, **homes},
        )  # fmt: skip


def rendered(*arguments: str | Path) -> str:
    """The objects in YAML."""
    done = helm("template", "pools", CHART, "--namespace=monitoring", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def objects(*arguments: str | Path) -> list[dict[str, Any]]:
    """The objects."""
    return [one for one in yaml.safe_load_all(rendered(*arguments)) if one]


def of_kind(documents: list[dict[str, Any]], *kinds: str) -> dict[str, Any]:
    """The one object of these kinds."""
    (one,) = (document for document in documents if document["kind"] in kinds)
    return one
