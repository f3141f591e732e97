"""Types of single values in the configuration."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Strict, ValidationInfo

from pg_pool_exporter import durations
from pg_pool_exporter.blocking import files
from pg_pool_exporter.config.page_address import default_path, page_address
from pg_pool_exporter.formats import AUTO

MAX_NAME = 63
"""PostgreSQL's own limit for names."""
MIN_INTERVAL = 0.1
MAX_INTERVAL = 3600.0


def matching(pattern: str, message: str) -> AfterValidator:
    """The check that a text as a whole has this pattern, in ASCII; else the error is `message`."""
    compiled = re.compile(pattern, re.ASCII)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise ValueError(message)
        return value

    return AfterValidator(check)


def once(keys: Callable[[Any], Iterable[object]] = iter) -> AfterValidator:
    """The check that no entry of a list comes twice, by its `keys`; by default itself."""

    def check(value: tuple[Any, ...]) -> tuple[Any, ...]:
        found = [*keys(value)]
        if len({*found}) < len(found):
            raise ValueError("must not repeat an entry")
        return value

    return AfterValidator(check)


def _name(value: str) -> str:
    if not 0 < len(value) <= MAX_NAME:
        raise ValueError(f"must have 1 to {MAX_NAME} characters")
    if not value.isprintable() or value != value.strip():
        raise ValueError("must be printable, without spaces around it")
    return value


def _application_name(value: str) -> str:
    if len(value.encode()) > MAX_NAME:
        raise ValueError(f"must have at most {MAX_NAME} bytes: PostgreSQL truncates it there")
    return value


def _seconds(value: object) -> float:
    if not isinstance(value, str):
        raise ValueError(durations.EXPECTED)
    return durations.seconds(value)


def _interval(value: float) -> float:
    if not MIN_INTERVAL <= value <= MAX_INTERVAL:
        raise ValueError("must be from 100ms to 1h")
    return value


def _timeout(value: float, info: ValidationInfo) -> float:
    # Without a valid interval there is nothing to compare with.
    if not 0 < value <= info.data.get("interval", MAX_INTERVAL):
        raise ValueError("must be above 0 and not longer than the interval")
    return value


def _positive(value: float) -> float:
    if value <= 0:
        raise ValueError("must be above 0")
    return value


def _path(value: str, info: ValidationInfo) -> str:
    if not value or "\0" in value:
        raise ValueError("must be a path")
    directory: Path = (info.context or {}).get("directory", Path())
    return str(directory / value)


def _directory(value: str, info: ValidationInfo) -> str:
    if not value:
        return value
    path = _path(value, info)
    try:
        files.check_directory(path)
    except files.FileError as error:
        raise ValueError(f"names a path that {error}") from None
    return path


def _pattern(value: str, info: ValidationInfo) -> str:
    path = _path(value, info)
    if value.endswith("/"):
        raise ValueError("must be a path of files, or a pattern like /var/log/postgresql/*.log")
    return path


def _readable(value: str) -> str:
    return _checked(value, secret=False)


def _secret(value: str) -> str:
    return _checked(value, secret=True)


def _checked(value: str, *, secret: bool) -> str:
    try:
        files.check(value, secret=secret)
    except files.FileError as error:
        raise ValueError(f"names a file that {error}") from None
    return value


def _command(value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    if not value or not all(value) or any("\0" in part for part in value):
        raise ValueError("must be a program and its arguments, none of them empty")
    program, *arguments = value
    if "/" in program:
        program = _path(program, info)
    if shutil.which(program) is None:
        raise ValueError("must begin with a program that exists and may be executed")
    return (program, *arguments)


def _page_url(value: str, info: ValidationInfo) -> str:
    return page_address(value, default_path(info.data.get("format", AUTO))).text


Name = Annotated[str, AfterValidator(_name)]
ApplicationName = Annotated[Name, AfterValidator(_application_name)]
Interval = Annotated[float, BeforeValidator(_seconds), AfterValidator(_interval)]
Timeout = Annotated[float, BeforeValidator(_seconds), AfterValidator(_timeout)]
Duration = Annotated[float, BeforeValidator(_seconds), AfterValidator(_positive)]
Directory = Annotated[str, AfterValidator(_directory)]
"""Relative paths, here and below, are relative to the directory of the configuration file. An
empty one is none."""
AnyPath = Annotated[str, AfterValidator(_path)]
ReadableFile = Annotated[str, AfterValidator(_path), AfterValidator(_readable)]
SecretFile = Annotated[str, AfterValidator(_path), AfterValidator(_secret)]
"""Not a symbolic link of another user, see `files.content`."""
LogPattern = Annotated[str, AfterValidator(_pattern)]
"""A pattern of paths with `*`, `?` and `[…]`; matching files need not exist yet."""
Command = Annotated[tuple[str, ...], Strict(False), AfterValidator(_command)]
PageUrl = Annotated[str, AfterValidator(_page_url)]
"""A metrics endpoint (`page_address`); the default path is `/metrics`, or `/jolokia`."""
