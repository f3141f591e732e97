"""What a release needs that no other tool checks, and its notes. Standard library only.

python tools/release.py ready v0.1.0    what stands in the way; exit code 1 if anything does
python tools/release.py notes v0.1.0    that version's part of the changelog
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]


def notes(version: str, changelog: str) -> str:
    """The section of `version`. Raises `ValueError` when it has none."""
    section = re.search(
        rf"^## {re.escape(version)} \([^)]*\)\n(.*?)(?=^## |\Z)",
        changelog,
        re.MULTILINE | re.DOTALL,
    )
    if section is None or not section[1].strip():
        raise ValueError(f"CHANGELOG.md has no section {version}")
    return section[1].strip() + "\n"


def obstacles(tag: str, root: Path = ROOT) -> Iterator[str]:
    """A sentence for each reason not to publish `tag`."""
    version = tag.removeprefix("v")
    package = (root / "src/pg_pool_exporter/__init__.py").read_text()
    ours = re.search(r'^__version__ = "(.+)"$', package, re.MULTILINE)
    if ours is None or tag != f"v{ours[1]}":
        yield f"the tag {tag} does not name the version of src/pg_pool_exporter/__init__.py"
    changelog = (root / "CHANGELOG.md").read_text()
    if not re.search(rf"^## {re.escape(version)} \(\d{{4}}-\d\d-\d\d\)$", changelog, re.MULTILINE):
        yield f"CHANGELOG.md has no section {version} with its date, like (2026-11-29)"
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    named = [*project["urls"].values(), *(one["email"] for one in project["authors"])]
    if any(".example" in one for one in named):
        yield "pyproject.toml has placeholders (.example) for the author or the addresses"
    for name in ("deploy/helm/pg-pool-exporter/values.yaml", "deploy/kustomize"):
        place = root / name
        files = [place] if place.is_file() else sorted(place.rglob("*.yaml"))
        if any("ghcr.io/example/" in file.read_text() for file in files):
            yield f"{name} has a placeholder (ghcr.io/example/) for the image"


def main(arguments: list[str]) -> int:
    """Run one of the two commands; the exit code."""
    match arguments:
        case ["ready", tag]:
            found = [*obstacles(tag)]
            print("\n".join(found) or f"{tag} is ready")
            return 1 if found else 0
        case ["notes", tag]:
            try:
                print(notes(tag.removeprefix("v"), (ROOT / "CHANGELOG.md").read_text()), end="")
            except ValueError as error:
                print(error, file=sys.stderr)
                return 1
            return 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
