"""Reads addresses from lists of targets in Prometheus' format.

`[{"targets": ["HOST:PORT", …], "labels": {"name": "value", …}}, …]`, in JSON or YAML; see
https://prometheus.io/docs/prometheus/latest/http_sd/. Lists come from outside: everything is
bounded, and no message repeats their content.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, FailFast, Field, Strict, ValidationError

from pg_pool_exporter.config import yaml_tree
from pg_pool_exporter.config.errors import dotted, of_validation
from pg_pool_exporter.config.yaml_tree import YamlError

MAX_BYTES = 1024 * 1024
_REPEATS = "has a key twice in one entry, so its targets are not certain"


class ListError(Exception):
    """The list is unusable. The message is a predicate about the list."""


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a process, `HOST:PORT` as in a list, with its labels."""

    text: str = field(repr=False)
    labels: Mapping[str, str] = field(default_factory=dict, repr=False)
    at: str = ""
    """Its place in the list."""


class _Group(BaseModel):
    """Unknown keys are errors, as in Prometheus: most are typing errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    targets: Annotated[tuple[str, ...], Strict(False), FailFast()] = Field(repr=False)
    labels: dict[str, str] | None = Field(default=None, repr=False)


class _List(BaseModel):
    # The first mistake ends it: half a million of them would hold the GIL for two seconds.
    groups: Annotated[tuple[_Group, ...], Strict(False), FailFast()]


def from_json(content: bytes) -> list[Address]:
    """The addresses in a list in JSON. Raises `ListError`."""
    try:
        return _addresses(json.loads(content, object_pairs_hook=_unique))
    except json.JSONDecodeError as error:
        raise ListError(f"is not valid JSON (line {error.lineno})") from None
    except RecursionError:
        raise ListError("is nested too deeply") from None
    except ValueError:
        raise ListError("is not UTF-8 text, or holds an impossible number") from None


def from_yaml(content: bytes) -> list[Address]:
    """The addresses in a list in YAML; an empty text is an empty list. Raises `ListError`."""
    try:
        tree = yaml_tree.parse(content)
    except YamlError as error:
        line = "" if error.line is None else f" (line {error.line})"
        raise ListError(f"{error}{line}") from None
    if tree.repeated:
        raise ListError(f"{_REPEATS} (line {tree.repeated[0].line})")
    return [] if tree.root is None else _addresses(tree.root.plain())


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ListError(_REPEATS)
    return found


def _addresses(values: Any) -> list[Address]:
    try:
        groups = _List.model_validate({"groups": values}).groups
    except ValidationError as error:
        problem, *others = of_validation(_List, error)
        place = dotted(problem.location[1:])
        noun = "mistake" if len(others) == 1 else "mistakes"
        more = f" (and {len(others)} more {noun})" if others else ""
        where = f" at {place}" if place else ""
        raise ListError(f"is wrong{where}: {problem.message}{more}") from None
    return [*_each(groups)]


def _each(groups: tuple[_Group, ...]) -> Iterator[Address]:
    for number, group in enumerate(groups):
        for position, text in enumerate(group.targets):
            place = dotted((number, "targets", position))
            yield Address(text, group.labels or {}, place)
