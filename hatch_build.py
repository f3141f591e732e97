"""The description for an index: README.md, with the addresses of what it links to."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_LINK = re.compile(r"(!?)\[((?:[^\]\[]|\n)*)\]\((?!https?:|#)([^)\s]+)\)")


def with_addresses(text: str, home: str, revision: str) -> str:
    """`text` with each relative link as an address below `home`, at a tag or branch.

    `raw` serves a file as it is, which an image needs; `blob` is a page about it.
    """

    def absolute(link: re.Match[str]) -> str:
        image, title, path = link.groups()
        kind = "raw" if image else "blob"
        return f"{image}[{title}]({home}/{kind}/{revision}/{path})"

    return _LINK.sub(absolute, text)


class Description(MetadataHookInterface):
    """Sets `project.readme`."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Take the repository's address from `project.urls`; the tag is the version's."""
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        home = metadata["urls"]["Source"]
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": with_addresses(text, home, f"v{metadata['version']}"),
        }
