"""A YAML file as plain values, and the line of each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pg_pool_exporter.blocking import files
from pg_pool_exporter.config import yaml_tree
from pg_pool_exporter.config.errors import ConfigError, Location, Problem

if TYPE_CHECKING:
    from pathlib import Path

    from pg_pool_exporter.config.yaml_tree import Entry, Node

MAX_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Document:
    """A YAML file whose top is a mapping, read from `path`."""

    path: Path
    values: dict[str, object]
    root: Node
    key_problems: tuple[Problem, ...]
    """Keys that stand twice: the values no longer show them."""

    def line(self, location: Location) -> int:
        """The line of the key or list item at `location`, or of the last step that is there."""
        node = self.root
        line = 1
        for step in location:
            entry = _entry(node, step)
            if entry is None:
                break
            node, line = entry
        return line


def read(path: Path) -> Document:
    """Read a file, within `files.SECONDS`. Raises `ConfigError` when it isn't a mapping in YAML.

    Repeated keys are not raised, but listed in `Document.key_problems`.
    """
    try:
        tree = yaml_tree.parse(files.read(path, MAX_BYTES))
    except files.FileError as error:
        raise ConfigError(path, [Problem((), str(error))]) from None
    except yaml_tree.YamlError as error:
        raise ConfigError(path, [Problem((), str(error), error.line)]) from None
    if tree.root is None:
        raise ConfigError(path, [Problem((), "is empty")])
    values = tree.root.plain()
    if not isinstance(values, dict):
        raise ConfigError(path, [Problem((), "must be a mapping of keys to values", 1)])
    problems = (
        Problem(one.location, f"is repeated; first in line {one.first}", one.line)
        for one in tree.repeated
    )
    return Document(path, values, tree.root, tuple(problems))


def _entry(node: Node, step: str | int) -> Entry | None:
    match node.value, step:
        case list() as items, int() if step < len(items):
            return yaml_tree.Entry(items[step], items[step].line)
        case dict() as entries, str():
            return entries.get(step)
    return None
