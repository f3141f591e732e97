"""YAML from outside to a tree of plain values with their lines: a small, bounded part of YAML.

Scalars are null, `true` and `false`, decimal numbers, and text; the rest of YAML's guesses (dates,
base 60, octal, `yes` and `no`) stays text. Keys are text. Tags are refused. Anchors, aliases and
merge keys work. The tree is built straight from the parser's events and given up as soon as a
bound is passed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import yaml

from pg_pool_exporter.config.errors import Location

MAX_VALUES = 100_000
"""Keys and values of a document, aliases expanded: a few lines can stand for billions."""
MAX_LEVELS = 20

# Written in C: some ten times as fast, and it holds the GIL for as much less.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MERGE = "<<"
_TOO_DEEP = "is nested too deeply"
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?[0-9]{1,18}\.[0-9]{1,18}(?:[eE][-+]?[0-9]{1,2})?")
# The parser quotes what it does not understand. Punctuation and the names of its tokens help; any
# other text could be part of a password.
_QUOTED_TEXT = re.compile(r""" (['"])(?!<|\W\1).*\1""")

Scalar: TypeAlias = str | int | float | bool | None


class YamlError(Exception):
    """Not usable as YAML. The message is a predicate about the text, and repeats nothing of it."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class Node:
    """A value, and the line in which it begins."""

    value: Scalar | list[Node] | dict[str, Entry]
    line: int
    size: int
    """Values in it, itself and all keys included."""

    def plain(self) -> object:
        """The value without lines."""
        match self.value:
            case list():
                return [node.plain() for node in self.value]
            case dict():
                return {key: entry.node.plain() for key, entry in self.value.items()}
        return self.value


class Entry(NamedTuple):
    """A value in a mapping, and the line of its key."""

    node: Node
    line: int


class Repeated(NamedTuple):
    """A key repeated in one mapping."""

    location: Location
    line: int
    first: int
    """Line of the first one."""


class Tree(NamedTuple):
    """A document; `root` is None where the text is empty."""

    root: Node | None
    repeated: tuple[Repeated, ...]


def parse(content: bytes) -> Tree:
    """The only document in `content`, which is UTF-8. Raises `YamlError`."""
    text = _text(content)
    builder = _Builder(yaml.parse(text, _LOADER))
    try:
        root = builder.document()
    except yaml.MarkedYAMLError as error:
        raise _syntax(error, text) from None
    except yaml.YAMLError:
        raise YamlError("is not valid YAML") from None
    return Tree(root, tuple(builder.repeated))


def _text(content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise YamlError("is not UTF-8 text", line) from None
    found = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if found is not None:
        line = text.count("\n", 0, found.start()) + 1
        raise YamlError("holds a control character", line)
    return text


def _syntax(error: yaml.MarkedYAMLError, text: str) -> YamlError:
    if "nesting depth" in (error.problem or ""):
        return YamlError(_TOO_DEEP)  # the parser's own limit, where its look-ahead meets it first
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return YamlError("is not valid YAML")
    line = mark.line + 1
    at = "".join(text.splitlines()[mark.line : line])
    if "\t" in at[: len(at) - len(at.lstrip())]:
        return YamlError("is not valid YAML: indented with a tab, use spaces", line)
    message = _QUOTED_TEXT.sub("", error.problem or "syntax error")
    if error.context and error.context_mark:
        context = _QUOTED_TEXT.sub("", error.context)
        message += f" ({context} from line {error.context_mark.line + 1})"
    return YamlError(f"is not valid YAML: {message}", line)


class _Builder:
    """Builds one tree from the parser's events."""

    def __init__(self, events: Iterator[yaml.Event]) -> None:
        self.repeated: list[Repeated] = []
        self._events = events
        self._anchors: dict[str, Node] = {}
        self._values = 0
        self._path: list[str | int] = []

    def document(self) -> Node | None:
        """The document; None where there is none."""
        next(self._events)  # the stream's start
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return None
        root = self._node(next(self._events))
        next(self._events)  # the document's end
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise YamlError("must be one document: remove the line ---", _line(after))
        return root

    def _node(self, event: yaml.Event) -> Node:
        if isinstance(event, yaml.AliasEvent):
            node = self._anchors.get(event.anchor or "")
            if node is None:
                raise YamlError("has an alias (*name) without its anchor (&name)", _line(event))
            self._count(node.size)
            return node
        assert isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent)
        if event.tag is not None:
            raise YamlError("must not have tags (!name)", _line(event))
        self._count(1)
        before = self._values
        if isinstance(event, yaml.ScalarEvent):
            node = Node(_scalar(event), _line(event), 1)
        else:
            if len(self._path) >= MAX_LEVELS:
                raise YamlError(_TOO_DEEP, _line(event))
            items = (
                self._sequence() if isinstance(event, yaml.SequenceStartEvent) else self._mapping()
            )
            node = Node(items, _line(event), 1 + self._values - before)
        # Only now: an alias inside of its own anchor would have no end.
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _count(self, values: int) -> None:
        self._values += values
        if self._values > MAX_VALUES:
            raise YamlError(f"has more than {MAX_VALUES} values")

    def _sequence(self) -> list[Node]:
        items: list[Node] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            self._path.append(len(items))
            items.append(self._node(event))
            self._path.pop()
        return items

    def _mapping(self) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        merged: list[Node] = []
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise YamlError("must have text as keys", _line(event))
            key, line = self._key(event), _line(event)
            self._path.append(key)
            node = self._node(next(self._events))
            if key == _MERGE and not event.style:
                merged += _mappings(node, line)
            elif key in entries:
                self.repeated.append(Repeated((*self._path,), line, entries[key].line))
            else:
                entries[key] = Entry(node, line)
            self._path.pop()
        for node in merged:
            assert isinstance(node.value, dict)
            # The first one that has a key wins, and the mapping's own keys before all.
            for key, entry in node.value.items():
                entries.setdefault(key, entry)
        return entries

    def _key(self, event: yaml.ScalarEvent) -> str:
        if event.tag is not None:
            raise YamlError("must not have tags (!name)", _line(event))
        self._count(1)
        return str(event.value)


def _mappings(node: Node, line: int) -> list[Node]:
    """The mappings of a merge key: one, or several in a list."""
    nodes = node.value if isinstance(node.value, list) else [node]
    if not all(isinstance(one.value, dict) for one in nodes):
        raise YamlError("must merge mappings: <<: *name", line)
    return nodes


def _scalar(event: yaml.ScalarEvent) -> Scalar:
    text = str(event.value)
    if event.style:  # quoted, or a block
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def _line(event: yaml.Event) -> int:
    assert event.start_mark is not None
    return event.start_mark.line + 1
