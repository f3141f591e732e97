"""Copies docs to build/docs for the site: links to other files of the repository get an address.

python tools/site.py              before the site is built
python tools/site.py redirects    afterwards: addresses as alerts have them lead to its pages
"""

from __future__ import annotations

import re
import shutil
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
COPY = ROOT / "build/docs"
SITE = ROOT / "build/site"
_LINK = re.compile(r"\]\((?!\w+:|#)([^)\s#]+)")
_HOME = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Source"]


def with_addresses(page: Path) -> str:
    """The text of a page, with the repository's address in links that leave docs."""

    def address(link: re.Match[str]) -> str:
        target = (page.parent / link[1]).resolve()
        if target.is_relative_to(DOCS) and target.is_file():
            return link[0]
        return f"]({_HOME}/blob/main/{target.relative_to(ROOT)}"

    return _LINK.sub(address, page.read_text())


def main() -> None:
    """Make the copy anew."""
    shutil.rmtree(COPY, ignore_errors=True)
    shutil.copytree(DOCS, COPY)
    for page in DOCS.rglob("*.md"):
        (COPY / page.relative_to(DOCS)).write_text(with_addresses(page))


def redirect_runbooks(site: Path) -> None:
    """Let runbooks/NAME.md, where alerts and findings link to, lead to the page runbooks/NAME/.

    A directory of that name works on every web server that serves index.html.
    """
    for page in (DOCS / "runbooks").glob("*.md"):
        directory = site / "runbooks" / page.name
        directory.mkdir(parents=True, exist_ok=True)
        target = f"../{page.stem}/"
        (directory / "index.html").write_text(
            f'<!doctype html><meta http-equiv="refresh" content="0; url={target}">'
            f'<a href="{target}">{page.stem}</a>\n'
        )


if __name__ == "__main__":
    if sys.argv[1:] == ["redirects"]:
        redirect_runbooks(SITE)
    else:
        main()
