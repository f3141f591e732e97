"""A YAML file as plain values, and the line of each of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from pg_pool_exporter.config.errors import ConfigError, Location, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_BYTES = 1024 * 1024
MAX_VALUES = 100_000
"""After aliases are expanded: a few lines of nested ones can stand for billions of values."""

_TEXT_KEYS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")
_TOO_LARGE = f"has more than {MAX_VALUES} values"
# The parser quotes what it stumbled over. Punctuation and the names of its tokens help; any other
# text could be part of a password.
_QUOTED_TEXT = re.compile(r""" (['"])(?!<|\W\1).*\1""")


@dataclass(frozen=True)
class Document:
    """A YAML file whose top is a mapping, read from `path`."""

    path: Path
    values: dict[str, object]
    root: yaml.MappingNode
    key_problems: tuple[Problem, ...]
    """Keys that stand twice, and keys that are no text: the values don't show them any more."""

    def line(self, location: Location) -> int:
        """The line of the key or list item at `location`, or of the last step that is there."""
        node: yaml.Node = self.root
        line = 1
        for step in location:
            entry = _entry(node, step)
            if entry is None:
                break
            line, node = entry
        return line


def read(path: Path) -> Document:
    """Read a file. Raises `ConfigError` when it can't be read or isn't a mapping in YAML.

    Mistakes in its keys are not raised, but given in `Document.key_problems`.
    """
    loader = _loader(path)
    try:
        root = loader.get_single_node()
        if root is None:
            raise ConfigError(path, [Problem((), "is empty")])
        if not isinstance(root, yaml.MappingNode):
            raise ConfigError(path, [Problem((), "must be a mapping of keys to values", 1)])
        if expanded_size(root) > MAX_VALUES:
            raise ConfigError(path, [Problem((), _TOO_LARGE)])
        key_problems = tuple(_key_problems(root, (), set()))
        values = loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        raise ConfigError(path, [_syntax(error)]) from None
    except RecursionError:
        raise ConfigError(path, [Problem((), "is nested too deeply")]) from None
    except ValueError as error:
        # A scalar that looks like a date or a number and is none.
        raise ConfigError(path, [Problem((), "holds an impossible date or number")]) from error
    finally:
        loader.dispose()
    return Document(path, values, root, key_problems)


def _loader(path: Path) -> yaml.SafeLoader:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(path, [Problem((), f"cannot be read: {error.strerror}")]) from None
    if len(content) > MAX_BYTES:
        raise ConfigError(path, [Problem((), f"is larger than {MAX_BYTES // 1024} KiB")])
    try:
        return yaml.SafeLoader(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(path, [Problem((), "is not UTF-8 text", line)]) from None
    except yaml.reader.ReaderError as error:
        line = content.decode("utf-8-sig").count("\n", 0, error.position) + 1
        raise ConfigError(path, [Problem((), "holds a control character", line)]) from None


def _syntax(error: yaml.MarkedYAMLError) -> Problem:
    message = f"is not valid YAML: {_QUOTED_TEXT.sub('', error.problem or 'unreadable')}"
    if error.context and error.context_mark:
        context = _QUOTED_TEXT.sub("", error.context)
        message += f" ({context} from line {error.context_mark.line + 1})"
    mark = error.problem_mark or error.context_mark
    if mark is not None and mark.buffer is not None and mark.buffer[mark.pointer] == "\t":
        message = "is not valid YAML: a tab stands where spaces must be"
    return Problem((), message, None if mark is None else mark.line + 1)


def expanded_size(node: yaml.Node, known: dict[int, int] | None = None) -> int:
    """Values under `node` with every alias expanded; each node is looked at once."""
    known = {} if known is None else known
    if id(node) not in known:
        # An alias to a node that it stands in has no end; it finds this number.
        known[id(node)] = MAX_VALUES
        known[id(node)] = 1 + sum(expanded_size(child, known) for child in _children(node))
    return known[id(node)]


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield value


def _key_problems(node: yaml.Node, location: Location, seen: set[int]) -> Iterator[Problem]:
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for position, item in enumerate(node.value):
            yield from _key_problems(item, (*location, position), seen)
    elif isinstance(node, yaml.MappingNode):
        first: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue  # The constructor refuses it.
            here = (*location, key.value)
            line = key.start_mark.line + 1
            if key.value in first:
                yield Problem(here, f"stands twice; first in line {first[key.value]}", line)
                continue
            first[key.value] = line
            if key.tag not in _TEXT_KEYS:
                yield Problem(here, "must be put in quotes: YAML reads it as no text", line)
            yield from _key_problems(value, here, seen)


def _entry(node: yaml.Node, step: str | int) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        item = node.value[step]
        return item.start_mark.line + 1, item
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == step:
                return key.start_mark.line + 1, value
    return None
