"""`pg-pool-exporter advise`: pool sizes, by what a running exporter has measured."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from pg_pool_exporter.commands.asking import ask
from pg_pool_exporter.commands.findings_document import NO_ANSWER, Document, DocumentError, Part
from pg_pool_exporter.commands.output import FAILURE, SUCCESS, complain, width, write
from pg_pool_exporter.redaction import printable

if TYPE_CHECKING:
    from pg_pool_exporter.commands.options import Options

_DEFAULT_URL = urlsplit("http://localhost:10432")
_SETTLED = ("keep", "unknown")
"""Advice that asks for no change."""


class PoolSize(Part):
    """The advice for one pool. Sizes are of one process."""

    app: str
    pool: str
    server: str | None
    max: int | None
    advice: str
    title: str
    sentences: tuple[str, ...]

    @property
    def name(self) -> str:
        """For people: `app/pool`, and its server where it is known."""
        where = f" on {self.server}" if self.server else ""
        return f"{self.app}/{self.pool}{where}"


class ServerSizes(Part):
    """The pools of one server together."""

    server: str
    summary: str


class Sizes(Document):
    """The advice in the document of `/api/v1/findings`."""

    content = "advice on sizes"
    version: Literal[1]
    generated: float
    sizes: tuple[PoolSize, ...]
    sizes_left_out: int
    sizes_by_server: tuple[ServerSizes, ...]

    @property
    def exit_code(self) -> int:
        """Of the command: whether a size should change, also if it can't yet."""
        changes = any(one.advice not in _SETTLED for one in self.sizes)
        return FAILURE if changes else SUCCESS


def main(options: Options) -> int:
    """Print the advice; the exit code."""
    try:
        text = ask(options.url or _DEFAULT_URL)
        found = Sizes.read(text)
    except DocumentError as error:
        complain(f"pg-pool-exporter: {error}")
        return NO_ANSWER
    if options.json:
        document = json.loads(text)
        kept = {key: document[key] for key in Sizes.model_fields}
        write(json.dumps(kept, indent=2) + "\n")
    else:
        write("\n".join([*written(found, width()), ""]))
    return found.exit_code


def written(found: Sizes, columns: int) -> Iterator[str]:
    """The lines of the text: one a pool, with the reasons below it."""
    if not found.sizes:
        yield "No pool has been watched for long enough: ask again in a minute."
        return
    names = [printable(one.name) for one in found.sizes]
    column = max(map(len, names))
    for name, one in zip(names, found.sizes, strict=True):
        now = "no maximum" if one.max is None else f"now {one.max}"
        yield f"{name:<{column}}  {now:<10}  {printable(one.title)}"
        for sentence in one.sentences:
            yield from textwrap.wrap(
                printable(sentence), columns, initial_indent="  - ", subsequent_indent="    "
            )
    if found.sizes_left_out:
        yield f"{found.sizes_left_out} more pools are not shown; the metrics have all of them."
    yield ""
    for server in found.sizes_by_server:
        yield from textwrap.wrap(printable(f"server {server.server}: {server.summary}"), columns)
