"""The documentation that is generated, or that must keep up with the code."""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from conftest import require
from pg_pool_exporter.commands.command_line import parse
from pg_pool_exporter.commands.metrics import markdown
from pg_pool_exporter.commands.options import COMMANDS
from pg_pool_exporter.config import (
    Section,
)
from pg_pool_exporter.metrics import catalogue
from support.configuration import SECTIONS
from support.programs import PROMTOOL
from support.rule_files import ALERTS
from tools import client_catalogues, command_line_page
from tools.configuration_keys import SECTIONS as CONFIGURATION_SECTIONS
from tools.site import redirect_runbooks
from tools.tables import PAGES, with_tables

ROOT = Path(__file__).parents[1]
CONFIGURATION = (ROOT / "docs/reference/configuration.md").read_text()
COMMAND_LINE = (ROOT / "docs/reference/command-line.md").read_text()


def test_the_documentation_of_metrics_is_current() -> None:
    """When this fails: `make docs`, and look at the difference."""
    assert (ROOT / "docs/reference/metrics.md").read_text() == markdown()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_tables_of_alerts_and_causes_are_current(page: Path) -> None:
    """When this fails: `make docs`."""
    assert with_tables(page.read_text()) == page.read_text()


def test_every_alert_is_listed_once() -> None:
    text = (ROOT / "docs/reference/alerts.md").read_text()
    listed = re.findall(r"^\| \[(\w+)\]\(\.\./runbooks/", text, re.MULTILINE)
    assert sorted(listed) == sorted(ALERTS)


def test_every_metric_is_documented_once() -> None:
    text = markdown()
    for metric in catalogue.METRICS:
        assert text.count(f"\n| `{metric.name}` | {metric.type} |") == 1, metric.name


@pytest.mark.parametrize("metric", catalogue.METRICS, ids=lambda metric: metric.name)
def test_a_metric_names_fields_of_its_record(metric: catalogue.Metric) -> None:
    assert set(metric.fields) <= set(dir(metric.record))


def test_known_values_and_bounds_are_documented() -> None:
    text = markdown()
    assert "`reason`: `timeout`, `refused`, `auth`," in text
    assert "`state`: `active`, `idle`, `idle_in_transaction`," in text
    assert "Bounds in seconds: 0.0005, 0.001, 0.0025, " in text
    assert "Bounds in connections: 1, 2, 3, " in text


def test_the_reference_of_the_command_line_is_current() -> None:
    """When this fails: `make docs`."""
    assert command_line_page.markdown() == COMMAND_LINE


@pytest.mark.parametrize("model", SECTIONS, ids=lambda one: one.__name__)
def test_every_key_says_what_it_changes(model: type[Section]) -> None:
    """When this fails: `make docs` adds the row of a new key; write its last column."""
    texts = {
        key: cells[-1].strip()
        for key, rest in re.findall(r"^\| `(\w+)` \|(.*)\|$", CONFIGURATION, re.MULTILINE)
        if len(cells := rest.split(" | ")) >= 3
    }
    assert [key for key in model.model_fields if not texts.get(key)] == []


@pytest.mark.parametrize("heading", CONFIGURATION_SECTIONS)
def test_every_section_has_its_table(heading: str) -> None:
    assert f"\n## {heading}\n" in CONFIGURATION


def test_the_queries_of_the_documentation_are_understood_and_name_known_metrics(
    tmp_path: Path,
) -> None:
    require(PROMTOOL.exists(), "promtool, of Debian's package prometheus")
    blocks = re.findall(
        r"```promql\n(.*?)```", (ROOT / "docs/how-to/count-timeouts.md").read_text(), re.DOTALL
    )
    queries = [query for block in blocks for query in block.strip().split("\n\n")]
    assert len(queries) == 7
    rules = [{"record": f"q:{number}", "expr": one} for number, one in enumerate(queries)]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "docs", "rules": rules}]}))
    subprocess.run([PROMTOOL, "check", "rules", path], check=True, stdout=subprocess.DEVNULL)
    known = {metric.name for metric in catalogue.METRICS}
    assert set(re.findall(r"\bpg_\w+", " ".join(queries))) <= known


GUIDES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
_GUIDE = pytest.mark.parametrize("guide", GUIDES, ids=lambda one: str(one.relative_to(ROOT)))


@_GUIDE
def test_links_lead_to_files(guide: Path) -> None:
    for path, heading in re.findall(r"\]\(([^)\s#:]*)(?:#([^)\s]+))?\)", guide.read_text()):
        file = guide.parent / path if path else guide
        assert file.exists(), path
        assert not heading or heading in _anchors(file.read_text()), f"{path}#{heading}"


PAGES_OF_THE_SITE = [path for path in GUIDES if path.is_relative_to(ROOT / "docs")]
MOST_WORDS = 900


def test_a_link_of_an_alert_leads_to_a_page_of_the_site(tmp_path: Path) -> None:
    redirect_runbooks(tmp_path)
    for page in (ROOT / "docs/runbooks").glob("*.md"):
        answer = (tmp_path / "runbooks" / page.name / "index.html").read_text()
        assert f'url=../{page.stem}/"' in answer


def test_each_page_has_one_place_in_the_navigation() -> None:
    """When this fails: `nav` of mkdocs.yml."""
    listed = re.findall(r"(\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    pages = [str(path.relative_to(ROOT / "docs")) for path in PAGES_OF_THE_SITE]
    assert sorted(listed) == sorted(pages)


@pytest.mark.parametrize("page", PAGES_OF_THE_SITE, ids=lambda one: str(one.relative_to(ROOT)))
def test_a_page_is_short_unless_it_is_a_reference(page: Path) -> None:
    if "reference" not in page.parts:
        assert len(page.read_text().split()) <= MOST_WORDS


def test_the_readme_fits_on_one_screen_and_a_half() -> None:
    assert len((ROOT / "README.md").read_text().split()) <= 450


def _anchors(text: str) -> set[str]:
    """The anchors that GitHub makes of the headings."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}


@_GUIDE
def test_paths_of_the_repository_exist(guide: Path) -> None:
    """Those in code quotes or after a command that begin with a folder of the repository."""
    folders = "|".join(
        path.name for path in ROOT.iterdir() if path.is_dir() and path.name[0] != "."
    )
    named = re.findall(rf"[` ]((?:{folders})/[\w./-]*\w)", guide.read_text())
    assert [one for one in named if not (ROOT / one).exists()] == []


def test_the_rooms_are_described_in_their_order() -> None:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    layers = tools["importlinter"]["contracts"][0]["layers"]
    rooms = [sorted(layer.split(" | ")) for layer in reversed(layers)]
    table = (ROOT / "CONTRIBUTING.md").read_text().partition("| room |")[2].partition("\n\n")[0]
    cells = re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE)
    assert [re.findall(r"`(\w+)`", cell) for cell in cells] == rooms


@_GUIDE
def test_make_targets_and_modules_exist(guide: Path) -> None:
    text = guide.read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"(?:`|\$ )make ([a-z-]+(?: [a-z-]+)*)", text)
    assert {one for words in named for one in words.split()} <= targets
    modules = re.findall(r"python -m ((?:bench|pg_pool_exporter)[\w.]*)", text)
    assert [one for one in modules if find_spec(one.rstrip(".")) is None] == []


def test_commands_are_understood_with_the_flags_that_they_are_shown_with() -> None:
    command = re.compile(
        r"(?:\$ (?:[A-Z_]+=\S+ )*|`)pg-pool-exporter(?: ([^`\n#;|\[]+))?(?=[`\n#])"
    )
    shown = {words for guide in GUIDES for words in command.findall(guide.read_text())}
    assert len(shown) > 10
    for words in shown:
        parse(shlex.split(words), {})


def test_every_command_has_a_module_with_a_function_main() -> None:
    for command in COMMANDS:
        module = import_module(f"pg_pool_exporter.commands.{command.replace('-', '_')}")
        assert callable(module.main)


@pytest.mark.parametrize("path", client_catalogues.contents(), ids=lambda path: path.name)
def test_the_catalogue_of_each_client_is_what_make_docs_writes(path: Path) -> None:
    assert path.read_text() == client_catalogues.contents()[path]
