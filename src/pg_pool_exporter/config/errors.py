"""Mistakes in a configuration, explained to its author.

A message is a predicate about the value at a path: `must be …`, `is required`. It never repeats
the value of a field that is left out of its section's repr: those can hold a password.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ValidationError

from pg_pool_exporter.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

Location = tuple[str | int, ...]
"""Keys and list positions from the top of the file: `("servers", 1, "interval")`."""

MAX_PROBLEMS = 100
"""Mistakes that are listed; each costs time to explain."""
_SHOWN = 40
# Follow from a mistake that is listed already: a default that needs another field's value, a key
# of the wrong type.
_CONSEQUENCES = ("default_factory_not_called", "invalid_key")


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake. An empty `location` means the whole file; `line` counts from 1."""

    location: Location
    message: str
    line: int | None = None


class ConfigError(Exception):
    """A configuration that can't be used: `origin` (a file or a variable) and all its problems.

    `str()` gives a line for each problem: `file:line: path: message`.
    """

    def __init__(self, origin: Path | str, problems: Iterable[Problem]) -> None:
        self.origin = origin
        found = sorted(problems, key=lambda problem: problem.line or 0)
        self.problems = tuple(found[:MAX_PROBLEMS])
        lines = [self._line(problem) for problem in self.problems]
        if len(found) > MAX_PROBLEMS:
            lines.append(f"{origin}: and more mistakes")
        super().__init__("\n".join(lines))

    def _line(self, problem: Problem) -> str:
        place = str(self.origin) if problem.line is None else f"{self.origin}:{problem.line}"
        if not problem.location:
            return f"{place}: {problem.message}"
        return f"{place}: {dotted(problem.location)}: {problem.message}"


def dotted(location: Location) -> str:
    """The location as text: `servers[1].interval`."""
    path = ""
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            path += f".{_key(step)}" if path else _key(step)
    return path


def _key(key: str) -> str:
    # A forgotten colon or quote can turn a value, such as a password, into a key.
    plain = len(key) <= _SHOWN and key.replace("_", "").replace("-", "").isalnum()
    return key if plain and key.isascii() else "(a key that is not a plain word)"


def found(value: object) -> str:
    """A short description of the value in the file."""
    match value:
        case None | [] | ():
            return "nothing"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)[:_SHOWN]
        case str():
            # A password in the wrong place is still a secret.
            text = redact(value)
            return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
        case list():
            return "a list"
        case dict():
            return "a mapping"
    return "something else"


def of_validation(model: type[BaseModel], error: ValidationError) -> list[Problem]:
    """The problems that pydantic found in the values for `model`."""
    details = (
        detail for detail in error.errors(include_url=False) if detail["type"] not in _CONSEQUENCES
    )
    return [
        Problem(_without_mark(detail["loc"]), _message(model, detail))
        for detail in islice(details, MAX_PROBLEMS + 1)
    ]


def _without_mark(location: Location) -> Location:
    # pydantic adds a step where the key itself is wrong.
    return location[:-1] if location[-1:] == ("[key]",) else location


def _message(model: type[BaseModel], detail: ErrorDetails) -> str:
    section, field = _place(model, detail["loc"])
    value = detail["input"]
    context: dict[str, Any] = detail.get("ctx", {})
    match detail["type"]:
        case "extra_forbidden":
            return _unknown_key(str(detail["loc"][-1]), section)
        case "missing":
            return "is required"
        case "string_type" if isinstance(value, (list, dict)) or value is None:
            message = "must be text"
        case "string_type":
            message = "must be text (put it in quotes)"
        case "int_type":
            message = "must be a whole number"
        case "bool_type":
            message = "must be true or false"
        case "tuple_type":
            return "must be a list"
        case "model_type" | "dict_type":
            return "must be a mapping of keys to values"
        case "greater_than_equal":
            message = f"must be at least {context['ge']}"
        case "less_than_equal":
            message = f"must be at most {context['le']}"
        case "literal_error":
            message = f"must be one of {context['expected']}"
        case "value_error":
            message = str(context["error"])
        case _:
            message = detail["msg"]
    # What a whole section holds is no news to its author.
    is_section = detail["type"] == "value_error" and isinstance(value, dict)
    hidden = field is not None and not field.repr
    return message if hidden or is_section else f"{message}; found {found(value)}"


def _unknown_key(key: str, section: type[BaseModel]) -> str:
    known = list(section.model_fields)
    near = get_close_matches(key, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"is an unknown key{hint} (known keys: {', '.join(known)})"


def _place(model: type[BaseModel], location: Location) -> tuple[type[BaseModel], FieldInfo | None]:
    """The innermost section that a location passes, and the section's field that it is in."""
    section, field = model, None
    inner: type[BaseModel] | None = model
    for step in location:
        if isinstance(step, str) and inner is not None:
            section, field = inner, inner.model_fields.get(step)
            inner = None if field is None else _section_in(field.annotation)
    return section, field


def _section_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_section_in, get_args(annotation))), None)
