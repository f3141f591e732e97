"""Prometheus' format of lists of targets, from the text to addresses.

`[{"targets": ["HOST:PORT", …], "labels": {"name": "value", …}}, …]`, in JSON or YAML; see
https://prometheus.io/docs/prometheus/latest/http_sd/. Lists come from outside: everything is
bounded, and no message repeats what stands in them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError

from pg_pool_exporter.config.document import MAX_VALUES, expanded_size
from pg_pool_exporter.config.errors import dotted, of_validation

MAX_BYTES = 1024 * 1024
MAX_YAML_BYTES = 256 * 1024
"""Reading YAML takes long, and much of it can't be interrupted by a scrape."""

_MOST_LEVELS = 20
_TOO_DEEP = "is nested too deeply"


class ListError(Exception):
    """A list that can't be had, or is none. The message is a predicate about the list."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a process is, `HOST:PORT` as it stands in a list, and what the list says of it."""

    text: str = field(repr=False)
    labels: Mapping[str, str] = field(default_factory=dict, repr=False)
    at: str = ""
    """Its place in the list."""


class _Group(BaseModel):
    """Unknown keys are errors, as in Prometheus: most are typing errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    targets: Annotated[tuple[str, ...], Strict(False)] = Field(repr=False)
    labels: dict[str, str] | None = Field(default=None, repr=False)


class _List(BaseModel):
    groups: Annotated[tuple[_Group, ...], Strict(False)]


def from_json(content: bytes) -> list[Address]:
    """The addresses in a list in JSON. Raises `ListError`."""
    try:
        return _addresses(json.loads(content))
    except json.JSONDecodeError as error:
        raise ListError(f"is not valid JSON (line {error.lineno})") from None
    except RecursionError:
        raise ListError(_TOO_DEEP) from None
    except ValueError:
        raise ListError("is not UTF-8 text, or holds an impossible number") from None


def from_yaml(content: bytes) -> list[Address]:
    """The addresses in a list in YAML; an empty text is an empty list. Raises `ListError`."""
    if len(content) > MAX_YAML_BYTES:
        raise ListError(f"is larger than {MAX_YAML_BYTES // 1024} KiB, the most for YAML")
    # The one that is written in C is ten times as fast.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        _check_depth(yaml.parse(content, loader))
        root = yaml.compose(content, loader)
        if root is None:
            return []
        if expanded_size(root) > MAX_VALUES:
            raise ListError(f"has more than {MAX_VALUES} values")
        return _addresses(loader("").construct_document(root))
    except yaml.MarkedYAMLError as error:
        # From 6.0.4 on PyYAML looks ahead, and has a limit of its own that comes first.
        if "nesting depth" in (error.problem or ""):
            raise ListError(_TOO_DEEP) from None
        mark = error.problem_mark or error.context_mark
        line = "" if mark is None else f" (line {mark.line + 1})"
        raise ListError(f"is not valid YAML{line}") from None
    except yaml.YAMLError:
        raise ListError("is not valid YAML") from None
    except ValueError:
        raise ListError("holds an impossible date or number") from None


def _check_depth(events: Iterable[yaml.Event]) -> None:
    # What makes values out of them calls itself for each level, and ends the program when it is
    # out of stack.
    depth = 0
    for event in events:
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _MOST_LEVELS:
            raise ListError(_TOO_DEEP)


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
