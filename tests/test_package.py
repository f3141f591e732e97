"""What is published: the package's description, the release's files, shell files."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from conftest import require
from pg_pool_exporter import __version__
from pg_pool_exporter.commands.options import COMMANDS, FLAGS
from support.kubernetes import program
from tools import release, shell_files

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
HOME = "https://git.example/pools"
SHELL = ROOT / "deploy/shell"


@pytest.fixture(scope="module")
def with_addresses() -> Callable[[str, str, str], str]:
    """What the build makes of the README."""
    require(find_spec("hatchling"), "the package hatchling: make test installs it")
    function: Callable[[str, str, str], str] = runpy.run_path(str(ROOT / "hatch_build.py"))[
        "with_addresses"
    ]
    return function


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[a](docs/a.md#b)", f"[a]({HOME}/blob/v1/docs/a.md#b)"),
        ("![a](docs/a.png)", f"![a]({HOME}/raw/v1/docs/a.png)"),
        ("[`a`](deploy/a)", f"[`a`]({HOME}/blob/v1/deploy/a)"),
        ("[a\nb](c.md)", f"[a\nb]({HOME}/blob/v1/c.md)"),
        ("[a](https://b.example/c.md)", "[a](https://b.example/c.md)"),
        ("[a](#b)", "[a](#b)"),
        ("a[0](1)", f"a[0]({HOME}/blob/v1/1)"),
    ],
)
def test_links_of_the_description_are_absolute(
    with_addresses: Callable[[str, str, str], str], text: str, expected: str
) -> None:
    assert with_addresses(text, HOME, "v1") == expected


def test_no_link_of_the_readme_stays_relative(
    with_addresses: Callable[[str, str, str], str],
) -> None:
    """An index shows it without the repository's files."""
    text = with_addresses((ROOT / "README.md").read_text(), HOME, "v1")
    links = re.findall(r"\]\(([^)]*)\)", text)
    assert len(links) > 15
    assert [one for one in links if not one.startswith(("https://", "#"))] == []


def test_each_version_that_is_named_is_tested() -> None:
    named = {
        one.rpartition(" ")[2]
        for one in PROJECT["classifiers"]
        if re.search(r":: 3\.\d+$", one)
    }  # fmt: skip
    workflow = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())
    assert set(workflow["jobs"]["test"]["strategy"]["matrix"]["python"]) == named
    script = (ROOT / ".ci/run").read_text()
    assert named - {"3.11"} == set(re.findall(r"^other_python (3\.\d+)\b", script, re.MULTILINE))


@pytest.mark.parametrize("workflow", [*(ROOT / ".github/workflows").iterdir()], ids=str)
def test_every_action_is_named_by_its_hash(workflow: Path) -> None:
    """A tag can be moved to other code."""
    used = re.findall(r"uses: (\S+)", workflow.read_text())
    assert used
    assert [one for one in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", one)] == []


def test_names_of_images_are_lower_case_whatever_the_repository_is_called() -> None:
    """A registry refuses others; the account's name may have capitals."""
    text = (ROOT / ".github/workflows/release.yml").read_text()
    names = re.findall(r"ghcr\.io/(\$\{\{.*?\}\}|\$\{.*?\})", text)
    assert len(names) >= 4
    assert [one for one in names if not re.fullmatch(r"\$\{\w+,,\}", one)] == []
    (build,) = (
        step
        for step in yaml.safe_load(text)["jobs"]["image"]["steps"]
        if "build-push-action" in step.get("uses", "")
    )
    assert build["with"]["tags"] == "${{ steps.version.outputs.image }}"


@pytest.mark.cluster
def test_the_workflows_are_valid() -> None:
    files = [*(ROOT / ".github/workflows").iterdir()]
    done = subprocess.run(
        [program("actionlint"), "-shellcheck=", "-pyflakes=", *files],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_a_workflow_is_given_no_right_that_a_job_does_not_name() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())
    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        assert job["permissions"], name
        assert job["timeout-minutes"] <= 60, name


CHANGELOG = """# Changelog

## 0.2.0 (2026-12-24)

- New.

### More

## 0.1.0 (unreleased)

- First.
"""


@pytest.mark.parametrize(
    ("version", "expected"), [("0.2.0", "- New.\n\n### More\n"), ("0.1.0", "- First.\n")]
)
def test_the_notes_are_the_section_of_the_changelog(version: str, expected: str) -> None:
    assert release.notes(version, CHANGELOG) == expected


def test_a_version_without_a_section_has_no_notes() -> None:
    with pytest.raises(ValueError, match=r"no section 0\.3\.0"):
        release.notes("0.3.0", CHANGELOG)


def _project(root: Path, version: str, changelog: str, home: str) -> Path:
    package = root / "src/pg_pool_exporter"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f'__version__ = "{version}"\n')
    (root / "CHANGELOG.md").write_text(changelog)
    (root / "pyproject.toml").write_text(
        f'[project]\nauthors = [{{ name = "A", email = "a@{home}" }}]\n'
        f'[project.urls]\nSource = "https://{home}/pools"\n'
    )
    return root


@pytest.mark.parametrize(
    ("tag", "home", "facts"),
    [
        ("v0.2.0", "git.test", []),
        ("0.2.0", "git.test", ["tag"]),
        ("v0.1.0", "git.test", ["tag", "its date"]),
        ("v0.2.0", "git.example", ["placeholders"]),
    ],
)
def test_a_release_says_what_stands_in_its_way(
    tmp_path: Path, tag: str, home: str, facts: list[str]
) -> None:
    root = _project(tmp_path, "0.2.0", CHANGELOG, home)
    found = [*release.obstacles(tag, root)]
    assert len(found) == len(facts)
    for sentence, fact in zip(found, facts, strict=True):
        assert fact in sentence


def test_a_release_names_an_image_of_its_owner(tmp_path: Path) -> None:
    root = _project(tmp_path, "0.2.0", CHANGELOG, "git.test")
    values = root / "deploy/helm/pg-pool-exporter/values.yaml"
    values.parent.mkdir(parents=True)
    values.write_text("image: {repository: ghcr.io/example/pg-pool-exporter}\n")
    (found,) = release.obstacles("v0.2.0", root)
    assert "values.yaml has a placeholder" in found


@pytest.mark.parametrize("name", shell_files.FILES)
def test_the_files_for_shells_are_current(name: str) -> None:
    """When this fails: `make docs`."""
    assert (SHELL / name).read_text() == shell_files.FILES[name]()


def test_the_manual_has_every_command_and_flag_without_a_warning() -> None:
    require(shutil.which("man"), "Debian's package man-db")
    shown = subprocess.run(
        ["man", "--warnings=w", "--local-file", SHELL / "pg-pool-exporter.1"],
        capture_output=True, text=True, check=True,
        env={"MANWIDTH": "1000", "MAN_KEEP_FORMATTING": "", "LC_ALL": "C", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert shown.stderr == ""
    for command in COMMANDS:
        assert re.search(rf"^ +{command}$", shown.stdout, re.MULTILINE), command
    for flag in FLAGS:
        assert flag.spelt in shown.stdout
        assert flag.help.split()[0] in shown.stdout
    assert __version__ in shown.stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["check"], {"check-config"}),
        (["doctor", "--js"], {"--json"}),
        (["--log.level", "=", ""], {"debug", "info", "warning", "error"}),
        (["once", "--log.format", "=", "j"], {"json"}),
        (["once", "--log.format", "j"], {"json"}),
        (["terminate-idle", "--web."], set()),
        (["demo", "--scenario", "=", "l"], {"leak"}),
    ],
)
def test_bash_completes(words: list[str], expected: set[str]) -> None:
    script = (
        f'source {SHELL}/pg-pool-exporter.bash; COMP_CWORD=$(($# - 1)); COMP_WORDS=("$@"); '
        "_pg_pool_exporter; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    done = subprocess.run(
        ["bash", "-c", script, "bash", "pg-pool-exporter", *words],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    assert {one for one in done.stdout.split("\n") if one} == expected


@pytest.mark.debian
@pytest.mark.parametrize(
    ("shell", "file"), [("zsh", "_pg-pool-exporter"), ("fish", "pg-pool-exporter.fish")]
)
def test_other_shells_understand_their_file(shell: str, file: str) -> None:
    require(shutil.which(shell), f"Debian's package {shell}")
    done = subprocess.run(
        [shell, "--no-execute" if shell == "fish" else "-n", SHELL / file],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.debian
def test_fish_completes_flags_and_values() -> None:
    require(shutil.which("fish"), "Debian's package fish")

    def offered(line: str) -> set[str]:
        script = f"source {SHELL}/pg-pool-exporter.fish; complete --do-complete '{line}'"
        done = subprocess.run(
            ["fish", "--no-config", "-c", script], capture_output=True, text=True, check=True
        )
        return {one.partition("\t")[0] for one in done.stdout.splitlines()}

    assert offered("pg-pool-exporter ") == set(COMMANDS)
    assert offered("pg-pool-exporter doctor --j") == {"--json"}
    assert offered("pg-pool-exporter once --log.format=j") == {"--log.format=json"}
