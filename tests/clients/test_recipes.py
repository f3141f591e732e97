"""The recipes of docs/how-to are the code that is tested here, and say what it really shows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Set
from pathlib import Path

import pytest

from pg_pool_exporter.config import load
from pg_pool_exporter.metrics.catalogue import METRICS, POOL_CONNECTIONS
from pg_pool_exporter.metrics.series import POOL
from pg_pool_exporter.sources.pages.reading.text_reader import PageReader
from pg_pool_exporter.sources.pages.series.foreign_page import automatic
from pg_pool_exporter.sources.pages.target_defaults import TargetDefaults
from support.applications import CLIENTS
from support.libraries import LIBRARIES

DOCS = CLIENTS.parents[1] / "docs" / "how-to"
RECIPES = ["node", "java", "java-pools", "go", "dotnet"]
NPGSQL = CLIENTS.parent / "pages/npgsql"
# By column of the recipe: pages recorded from real pools.
RECORDED = {
    "Npgsql by OpenTelemetry": sorted(NPGSQL.glob("[0-9]*/*.opentelemetry.txt")),
    "with the source file": sorted(NPGSQL.glob("sites/*/*.opentelemetry.txt")),
}
# By language, the endings of the files that a block of it must be an excerpt of.
TESTED = {"js": "js", "java": "java", "go": "go", "xml": "xml", "properties": "properties"}
ELSEWHERE = {"csharp", "console", "yaml", "text"}

FIELDS = {metric.name: field for field, metric, _ in POOL.scalars}
FIELDS |= {metric.name: field for field, metric in POOL.mappings}
FIELDS |= {metric.name: field for field, metric in POOL.histograms}
FIELDS[POOL_CONNECTIONS.name] = "active"


def recipe(name: str) -> str:
    return (DOCS / f"{name}.md").read_text()


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """Language and content of each block of code."""
    yield from re.findall(r"^```(\w+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def is_excerpt(code: str, source: str) -> bool:
    """Whether all lines of `code` are in the source, in this order."""
    lines = (line.strip() for line in source.splitlines())
    return all(line.strip() in lines for line in code.splitlines() if line.strip())


def rows(text: str) -> Iterator[tuple[list[str], dict[str, str]]]:
    """Of the table of what is shown: metrics, and the cell of each library."""
    header, _, *lines = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in re.findall(r"^\|.*\|$", text, re.MULTILINE)
    ]
    for metrics, *cells in lines:
        names = re.findall(r"`(\w+)`", metrics)
        yield names, dict(zip(header[1:], cells, strict=True))


def recorded(pages: Iterable[Path]) -> Set[str]:
    """The fields of a pool that any of the pages shows."""
    known: set[str] = set()
    for page in pages:
        reader = PageReader(automatic(), TargetDefaults(app="orders", process="orders:5000"))
        for sample in reader.read(page.read_bytes()).pools:
            values = {name: getattr(sample, name) for name in sample.__slots__}
            known |= {name for name, value in values.items() if value not in (None, {})}
    return known


@pytest.mark.parametrize("name", RECIPES)
def test_code_in_a_recipe_is_that_of_a_tested_application(name: str) -> None:
    for language, code in blocks(recipe(name)):
        if language in TESTED:
            files = (CLIENTS / name.partition("-")[0]).rglob(f"*.{TESTED[language]}")
            sources = [file for file in files if not {"node_modules", "target"} & {*file.parts}]
            assert any(is_excerpt(code, file.read_text()) for file in sources), code
        else:
            assert language in ELSEWHERE, language


@pytest.mark.parametrize("name", [*RECIPES, "other-languages"])
def test_configuration_in_a_recipe_is_valid(name: str, tmp_path: Path) -> None:
    files = [code for language, code in blocks(recipe(name)) if language == "yaml"]
    assert files
    server = "servers:\n  - {name: main, dsn: postgresql://exporter@db/postgres}\n"
    for code in files:
        file = tmp_path / "config.yaml"
        file.write_text(code if "servers:" in code else server + code)
        assert load(file).apps


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_says_what_its_libraries_show(name: str) -> None:
    shown: dict[str, Set[str]] = {
        title: {*library.shows, *library.differs, *library.times, *library.apart}
        for title, library in LIBRARIES.items()
    }
    shown |= {title: recorded(pages) for title, pages in RECORDED.items()}
    differing = {title: library.differs.keys() for title, library in LIBRARIES.items()}
    for metrics, cells in rows(recipe(name)):
        for metric in metrics:
            field = FIELDS[metric]
            for library, cell in cells.items():
                assert (cell != "no") is (field in shown[library]), f"{metric} of {library}"
                if cell == "yes":
                    assert field not in differing.get(library, ()), f"{metric} of {library}"


FORMATS_OF = {
    "node": "node",
    "java": "java-kotlin-scala",
    "java-pools": "java-kotlin-scala",
    "go": "go",
    "dotnet": "opentelemetry-in-any-language-and-net",
}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_leads_to_all_formats_of_its_language(name: str) -> None:
    assert f"](../reference/formats.md#{FORMATS_OF[name]})" in recipe(name)


def test_lines_for_a_library_without_a_page_are_read() -> None:
    text = recipe("other-languages")
    [page] = [code for language, code in blocks(text) if language == "text"]
    reader = PageReader(automatic(), TargetDefaults(app="shop", process="shop:9394"))
    [pool] = reader.read(page.encode()).pools
    assert (pool.idle, pool.active, pool.max, pool.waiting) == (3, 7, 10, 0)


@pytest.mark.parametrize("name", [*RECIPES, "other-languages"])
def test_metrics_that_a_recipe_names_exist(name: str) -> None:
    text = re.sub(r"^```.*?^```$", "", recipe(name), flags=re.DOTALL | re.MULTILINE)
    named = set(re.findall(r"\bpg_(?:pool|server)_\w+", text))
    assert named <= {metric.name for metric in METRICS}
