"""Remedies for a log whose lines are not understood."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pg_pool_exporter.sources.server_log.counting.coverage import COMPANIONS
from pg_pool_exporter.sources.server_log.format.known_prefixes import fitting
from pg_pool_exporter.sources.server_log.format.layouts import Format
from pg_pool_exporter.sources.server_log.format.log_format import LogFormat
from pg_pool_exporter.sources.server_log.messages.catalogue import messages, texts_for
from pg_pool_exporter.sources.server_log.unwrapping.heads import WRAPPINGS, Wrapping
from pg_pool_exporter.sources.server_log.unwrapping.wrapping import Unwrapper

_GENERAL = "correct format and line_prefix (SHOW log_destination; SHOW log_line_prefix)"
# Of an object that was written for people: a brace, or a key with its value or its beginning.
_PART_OF_OBJECT = re.compile(
    rb'[ \t]*(?:[\[\]{}]{1,2},?|"[\w.@/-]{1,255}" ?: ?(?:[\[{"]|[\w.+-]{1,64},?\Z).*)',
    re.DOTALL,
)


def advice(form: LogFormat, lines: Sequence[bytes]) -> str:
    """The setting that would make most of these lines records, which are none of `form`; without
    their text.

    `lines` are without a wrapping that `form` allows, and without their ends.
    """
    lines = [line for line in lines if line and not line.startswith(b"\t")]
    if not lines:
        return _GENERAL
    others: tuple[Format, ...] = ("jsonlog", "csvlog")
    for other in others:
        if other != form.name and _most(form, other, lines):
            return f"they are records of {other}: set format: {other}"
    if form.name != "stderr" and form.has_prefix and _most(form, "stderr", lines):
        return "they are records of stderr: set format: stderr"
    by_itself = form._replace(wrapping="auto").unwrapped
    for wrapping in WRAPPINGS:
        if wrapping not in form.unwrapped and _most_inside(form, wrapping, lines):
            setting = "auto" if wrapping in by_itself else wrapping
            return f"they have a known wrapping: set wrapping: {setting}"
    recognised = Unwrapper(by_itself, lambda _: False, lambda _: False)
    if form.wrapping != "auto" and _is_most(sum(map(recognised.is_wrapped, lines)), lines):
        return "they have a known wrapping: set wrapping: auto"
    if _is_most(sum(_PART_OF_OBJECT.fullmatch(line) is not None for line in lines), lines):
        if "json" in form.unwrapped:
            return "they are JSON on several lines without a known line: wrong file or line_prefix"
        return "they are JSON with an object on several lines: set wrapping: auto"
    if form.name == "stderr" and any(_has_record(form, line) for line in lines):
        return (
            "records begin behind a text that is no known wrapping: read the log before it is "
            "shipped"
        )
    if _is_most(sum(COMPANIONS.match(line) is not None for line in lines), lines):
        return "they are lines of Patroni, pgBackRest or WAL-G: name the server's own log, too"
    words = texts_for(messages(form.languages), "LOG")
    prefix = fitting(lines, words)
    if prefix is not None and (form.name != "stderr" or prefix != form.line_prefix):
        change = "set" if form.name == "stderr" else "set format: stderr and"
        return f"{change} line_prefix: {prefix!r}, which fits them"
    return f"no known log_line_prefix fits them: {_GENERAL}"


def _most(form: LogFormat, other: Format, lines: Sequence[bytes]) -> bool:
    match = form.layout(other).record.match
    return _is_most(sum(match(line) is not None for line in lines), lines)


def _most_inside(form: LogFormat, wrapping: Wrapping, lines: Sequence[bytes]) -> bool:
    """Whether most lines are records inside of this wrapping."""
    match = form.layout().record.match

    def is_record(text: bytes) -> bool:
        return match(text) is not None

    unwrapper = Unwrapper(frozenset({wrapping}), is_record, is_record)
    found = (any(is_record(one.line) for one in unwrapper.unwrap(line)) for line in lines)
    return _is_most(sum(found), lines)


def _has_record(form: LogFormat, line: bytes) -> bool:
    return form.layout("stderr").record.search(line, 1) is not None


def _is_most(number: int, lines: Sequence[bytes]) -> bool:
    return number * 2 > len(lines)
