"""Other programs that scrape the exporter and evaluate its rules."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from conftest import require
from support.kubernetes import program
from support.pages import answer, serving
from support.postgres import wait_until
from support.programs import answers, exporter, fetch, free_port, running

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/how-to/elsewhere.md").read_text()
pytestmark = pytest.mark.debian


def recipe(first_line: str) -> str:
    """The configuration of the page that begins with this comment."""
    (found,) = re.findall(rf"```yaml\n(# {re.escape(first_line)}.*?)```", PAGE, re.DOTALL)
    return str(found)


def checked(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_vmalert_understands_every_rule(tmp_path: Path) -> None:
    """Debian's does not know keep_firing_for: the page says how to leave it out."""
    require(shutil.which("vmalert"), "Debian's package victoria-metrics")
    assert "sed '/keep_firing_for/d'" in PAGE
    for file in (ROOT / "deploy/prometheus").glob("*.yml"):
        text = re.sub(r".*keep_firing_for.*\n", "", file.read_text())
        (tmp_path / file.name).write_text(text)
    checked("vmalert", "-dryRun", "-rule", f"{tmp_path}/*.yml")


def test_vmagent_understands_its_recipe(tmp_path: Path) -> None:
    require(shutil.which("vmagent"), "Debian's package victoria-metrics")
    file = tmp_path / "scrape.yml"
    file.write_text(recipe("scrape.yml"))
    checked(
        "vmagent", "-dryRun", f"-promscrape.config={file}", "-promscrape.config.strictParse",
        "-remoteWrite.url=http://127.0.0.1:1",
    )  # fmt: skip


def test_prometheus_understands_what_the_recipe_gives_to_the_collectors_receiver(
    promtool: Path, tmp_path: Path
) -> None:
    config = yaml.safe_load(recipe("otel.yml"))
    for kind in ("receivers", "exporters"):
        assert config["service"]["pipelines"]["metrics"][kind] == [*config[kind]]
    file = tmp_path / "prometheus.yml"
    file.write_text(yaml.safe_dump(config["receivers"]["prometheus"]["config"]))
    checked(promtool, "check", "config", file)


@pytest.mark.cluster
def test_alloys_parser_understands_its_recipe() -> None:
    (text,) = re.findall(r"```alloy\n(.*?)```", PAGE, re.DOTALL)
    for recipe, code in ((text, 0), (text.replace('"15s"', "15s"), 1)):
        done = subprocess.run([program("alloy-syntax")], input=recipe, text=True, check=False)
        assert done.returncode == code


@pytest.mark.slow
def test_victoria_metrics_scrapes_the_exporter(tmp_path: Path) -> None:
    require(shutil.which("victoria-metrics"), "Debian's package victoria-metrics")
    page, store = free_port(), free_port()
    file = tmp_path / "scrape.yml"
    text = recipe("scrape.yml").replace("db-host:10432", f"127.0.0.1:{page}")
    file.write_text(text.replace("15s", "1s"))
    victoria = [
        "victoria-metrics", f"-promscrape.config={file}", f"-storageDataPath={tmp_path}/data",
        f"-httpListenAddr=127.0.0.1:{store}", "-search.latencyOffset=0s",
    ]  # fmt: skip
    command = exporter(f"--web.listen-address=127.0.0.1:{page}", "--socket-dir=")
    query = f"http://127.0.0.1:{store}/api/v1/query?query=pg_pool_exporter_build_info"

    def found() -> bool:
        return answers(query) and '"job":"pg-pools"' in fetch(query)

    with (
        running(command, log=tmp_path / "exporter.log"),
        running(victoria, log=tmp_path / "victoria.log"),
    ):
        wait_until(found, "the exporter's series in the store", 60)


def test_datadogs_check_submits_every_metric_with_its_recipe() -> None:
    """None has a tag that Datadog's own would be replaced by: its check fails then."""
    require(find_spec("datadog_checks"), "the package datadog-checks-base of .ci/requirements.in")
    (instance,) = yaml.safe_load(recipe("conf.d/openmetrics.d/conf.yaml"))["instances"]
    assert instance["openmetrics_endpoint"] == "http://db-host:10432/metrics"
    page = (ROOT / "tests/golden/metrics.txt").read_text()

    async def submitted() -> list[str]:
        kind = "Content-Type: text/plain; version=0.0.4; charset=utf-8"
        async with serving(answer(page.encode(), kind)) as served:
            settings = json.dumps({**instance, "openmetrics_endpoint": served.url})
            program = ROOT / "tests/apps/datadog_check.py"
            names: list[str] = json.loads(
                await asyncio.to_thread(checked, sys.executable, program, settings)
            )
        return names

    families = re.findall(r"^# TYPE (pg_(?:pool|server|bouncer)_\w+) ", page, re.MULTILINE)
    names = {re.sub(r"\.(count|sum|bucket)$", "", one) for one in asyncio.run(submitted())}
    assert names == {f"pg_pools.{one.removesuffix('_total')}" for one in families}
