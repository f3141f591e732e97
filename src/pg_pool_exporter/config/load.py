"""From a file or a connection string to a validated configuration."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import TypeVar

from pydantic import SecretStr, ValidationError

from pg_pool_exporter.config.document import Document, read
from pg_pool_exporter.config.errors import (
    MAX_PROBLEMS,
    ConfigError,
    Location,
    Problem,
    dotted,
    of_validation,
)
from pg_pool_exporter.config.formats import KNOWN_FORMATS
from pg_pool_exporter.config.models import Config, ServerConfig
from pg_pool_exporter.config.section import Section

SectionT = TypeVar("SectionT", bound=Section)

_MAX_COMPARED = 500
"""Names among which the nearest one is looked for."""
DSN_SERVER = "main"
"""Name of the server of `from_dsn`: it outlives a change of address."""


def load(path: Path) -> Config:
    """The configuration in the file at `path`. Raises `ConfigError` with all its mistakes."""
    document = read(path)
    checks = (
        _repeated(document),
        _unknown_targets(document, "server", "servers"),
        _unknown_targets(document, "bouncers", "pgbouncers"),
        _unknown_formats(document),
    )
    others = [problem for check in checks for problem in islice(check, MAX_PROBLEMS + 1)]
    return validate(Config, document, others)


def from_dsn(dsn: str, origin: str) -> Config:
    """A configuration of one server, named `main`. Raises `ConfigError` about `origin`."""
    try:
        return Config(servers=(ServerConfig(name=DSN_SERVER, dsn=SecretStr(dsn)),))
    except ValidationError as error:
        problems = [replace(p, location=()) for p in of_validation(ServerConfig, error)]
        raise ConfigError(origin, problems) from None


def with_socket_dir(config: Config, directory: str, origin: str) -> Config:
    """`config` with another socket directory. Raises `ConfigError` about `origin`."""
    try:
        valid = Config(socket_dir=directory)
    except ValidationError as error:
        problems = [replace(p, location=()) for p in of_validation(Config, error)]
        raise ConfigError(origin, problems) from None
    return config.model_copy(update={"socket_dir": valid.socket_dir})


def validate(model: type[SectionT], document: Document, others: Iterable[Problem] = ()) -> SectionT:
    """The document as a `model`. Raises `ConfigError` with all its mistakes and the `others`."""
    problems = [*others]
    try:
        valid = model.model_validate(document.values, context={"directory": document.path.parent})
    except ValidationError as error:
        problems += of_validation(model, error)
    problems = [replace(problem, line=document.line(problem.location)) for problem in problems]
    problems += document.key_problems
    if problems:
        raise ConfigError(document.path, problems)
    return valid


def _repeated(document: Document) -> Iterator[Problem]:
    """Names and targets that stand twice. Looked for in the plain values: pydantic checks a list
    as a whole only when all its items are valid.
    """
    for section in ("servers", "apps", "pgbouncers", "formats"):
        yield from _twice(_texts(document, section, "name"))
    yield from _twice(_texts(document, "apps", "targets"))
    for at, app in _items(document.values.get("apps"), ("apps",)):
        yield from _twice(_texts_of(app.get("pools"), (*at, "pools"), "name"))


def _unknown_targets(document: Document, key: str, section: str) -> Iterator[Problem]:
    """Apps that point at a server or bouncer which is not in the file."""
    known = {name for _, name in _texts(document, section, "name")}
    for location, name in _texts(document, "apps", key):
        if name not in known:
            yield Problem(location, f"must be the name of one of the {section}{_hint(name, known)}")


def _unknown_formats(document: Document) -> Iterator[Problem]:
    """Apps whose pages have a format that is neither known nor in the file."""
    known = [*KNOWN_FORMATS, *(name for _, name in _texts(document, "formats", "name"))]
    for location, name in _texts(document, "apps", "format"):
        if name not in known:
            yield Problem(location, f"must be one of {', '.join(known)}{_hint(name, known)}")


def _hint(name: str, known: Collection[str]) -> str:
    near = get_close_matches(name, known, n=1) if len(known) <= _MAX_COMPARED else []
    return f"; did you mean {near[0]}?" if near else ""


def _texts(document: Document, section: str, key: str) -> Iterator[tuple[Location, str]]:
    """The texts, single or in a list, that the items of a section have under a key."""
    return _texts_of(document.values.get(section), (section,), key)


def _texts_of(items: object, at: Location, key: str) -> Iterator[tuple[Location, str]]:
    for place, item in _items(items, at):
        value = item.get(key)
        if isinstance(value, str):
            yield (*place, key), value
        elif isinstance(value, list):
            for position, text in enumerate(value):
                if isinstance(text, str):
                    yield (*place, key, position), text


def _items(items: object, at: Location) -> Iterator[tuple[Location, dict[object, object]]]:
    """The mappings in a list, each with its location; nothing where it is none."""
    for position, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, dict):
            yield (*at, position), item


def _twice(texts: Iterator[tuple[Location, str]]) -> Iterator[Problem]:
    first: dict[str, Location] = {}
    for location, text in texts:
        before = first.setdefault(text, location)
        if before != location:
            yield Problem(location, f"must be unique; {dotted(before)} is the same")
