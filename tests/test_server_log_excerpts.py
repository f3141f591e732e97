"""Excerpts of logs as servers, containers, platforms and shippers write them: all is counted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pg_pool_exporter.sources.server_log.counting.reader import LogReader
from support.server_log import FORMATS, TIME, parser_of, record, seen

DIRECTORY = Path(__file__).parent / "log_excerpts"
EXPECTED: dict[str, dict[str, Any]] = yaml.safe_load((DIRECTORY / "expected.yaml").read_text())
KNOWN = frozenset({"shop", "web shop", "billing", "postgres"})


def reader_of(expected: dict[str, Any]) -> LogReader:
    form = expected["format"]
    return parser_of(
        "stderr" if form == "auto" else form,
        expected.get("line_prefix", ""),
        wrapping=expected.get("wrapping", "auto"),
        is_fixed=form != "auto",
    )


def counts(reader: LogReader) -> dict[str, Any]:
    """As in the file of what is expected."""
    found: dict[str, Any] = {"opened": {}, "closed": {}, "timeouts": {}, "refused": Counter()}
    for (family, value, database), count in sorted(seen(reader).items(), key=str):
        name = database or "unknown"
        if family == "refused":
            found["refused"][value] += count
        elif family == "timeout":
            found["timeouts"].setdefault(value, {})[name] = count
        else:
            found[value][name] = count
    return found | {"refused": dict(found["refused"])}


def written(reader: LogReader) -> str:
    if reader.recognised is None:
        return ""
    form, wrapping = reader.recognised
    return form if wrapping == "none" else f"{form}, {wrapping}"


def test_there_are_enough_of_them() -> None:
    files = {path.stem for path in DIRECTORY.glob("*.log")}
    assert files == EXPECTED.keys()
    assert len(files) >= 40


@pytest.mark.parametrize("name", EXPECTED)
def test_everything_in_the_excerpt_is_counted_and_nothing_else(name: str) -> None:
    expected = EXPECTED[name]
    reader = reader_of(expected)
    reader.take_tally(KNOWN)
    reader.feed((DIRECTORY / f"{name}.log").read_bytes())
    assert counts(reader) == expected["counts"]
    assert written(reader) == expected["written"]
    assert reader.coverage.unparsed == expected.get("unparsed", 0)
    assert reader.coverage.is_understood == (expected["written"] != "")


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("size", [97, 1000])
def test_it_does_not_matter_where_reads_end(name: str, size: int) -> None:
    expected = EXPECTED[name]
    reader = reader_of(expected)
    reader.take_tally(KNOWN)
    data = (DIRECTORY / f"{name}.log").read_bytes()
    for at in range(0, len(data), size):
        reader.feed(data[at : at + size])
    assert counts(reader) == expected["counts"]
    assert reader.coverage.unparsed == expected.get("unparsed", 0)


@pytest.mark.parametrize("name", [name for name in EXPECTED if EXPECTED[name]["written"]])
def test_a_long_log_is_read_like_a_short_one(name: str) -> None:
    """Of long pieces only a sample shows how they are written."""
    expected = EXPECTED[name]
    reader = reader_of(expected)
    reader.take_tally(KNOWN)
    times = 30
    reader.feed((DIRECTORY / f"{name}.log").read_bytes() * times)
    once = expected["counts"]
    assert counts(reader) == {
        family: {key: _times(value, times) for key, value in of_family.items()}
        for family, of_family in once.items()
    }


@pytest.mark.parametrize("size", [10_000, 200_000, 10_000_000])
@pytest.mark.parametrize(
    ("head", "between", "tail"),
    [
        ("[", ",", "]"),
        ("[", ", ", "]"),
        ("[0] tag: [", ",", "]"),
        ("data: [", ", ", "]"),
        ("", "", ""),
        ("", " ", ""),
        ('{"owner":"1","logEvents":[', ",", "]}"),
        ('{"records": [', ", ", "]}"),
        ('{"resourceLogs":[{"resource":{},"scopeLogs":[{"logRecords":[', ",", "]}]}]}"),
    ],
)
def test_objects_on_one_line_may_be_of_any_number(
    size: int, head: str, between: str, tail: str
) -> None:
    """Whether the line's end has been read or not, and whatever its texts hold."""
    expected = EXPECTED["fluent-bit-array"]
    reader = reader_of(expected)
    reader.take_tally(KNOWN)
    times = 60
    objects = json.loads((DIRECTORY / "fluent-bit-array.log").read_bytes())
    text = f'{TIME} [1] LOG:  x}},{{"log":"y"}}, {{"z":[{{'
    objects.insert(5, {"log": text, "tags": [{"a": 1}, {"b": 2}]})
    data = f"{head}{between.join(map(json.dumps, objects * times))}{tail}\n".encode()
    for at in range(0, len(data), size):
        reader.feed(data[at : at + size])
    assert counts(reader) == {
        family: {key: _times(value, times) for key, value in of_family.items()}
        for family, of_family in expected["counts"].items()
    }
    assert (reader.coverage.unparsed, reader.pending) == (0, 0)


def test_objects_of_one_line_may_be_of_any_format() -> None:
    """Those of several logs, or of the lines before the server's collector runs."""
    message = "sorry, too many clients already"
    fields = {"error_severity": "FATAL", "message": message}
    plain, csv, native = (record(form, "FATAL", message, code="53300").decode() for form in FORMATS)
    texts = ("rsync: done", *(plain, csv, native) * 2)
    objects = [fields, *({"log": text} for text in texts)]
    for between in (",", ", "):
        reader = parser_of("stderr", is_fixed=False)
        reader.feed(f"[{between.join(map(json.dumps, objects))}]\n".encode())
        assert sum(seen(reader).values()) == 7
        assert reader.coverage.unparsed == 1


SHAPES: dict[str, Callable[[str], str]] = {
    "rsyslog's template for JSON": lambda line: json.dumps(
        {"tag": "postgres[7]:", "msg": f" {line}"}
    ),
    "LogDNA": lambda line: json.dumps({"_app": "pg", "_line": line}),
    "Alibaba, Huawei": lambda line: json.dumps({"__topic__": "pg", "content": line}),
    "Tencent": lambda line: json.dumps({"__CONTENT__": line}),
    "Oracle": lambda line: json.dumps({"logContent": {"data": {"message": line}, "id": "x"}}),
    "Honcho, Overmind": lambda line: f"22:30:00 db.1   | {line}",
    "PM2": lambda line: f"0|db  | {line}",
    "kubetail, Skaffold": lambda line: f"[db-0] {line}",
    "tai64nlocal": lambda line: f"2026-11-24 10:00:00.123456789 {line}",
    "Render": lambda line: f"Nov 24 10:00:00 AM {line}",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_other_shapes_of_a_line_are_read(shape: str) -> None:
    reader = parser_of("stderr", is_fixed=False)
    line = record("stderr", "FATAL", "sorry, too many clients already", code="53300").decode()
    reader.feed(f"{SHAPES[shape](line.rstrip())}\n".encode())
    assert seen(reader) == {("refused", "too_many_connections", "shop"): 1}
    assert reader.coverage.unparsed == 0


@pytest.mark.parametrize("prefix", ["%m [%p] ", " %m [%p] ", "  %m [%p] %q%u@%d "])
@pytest.mark.parametrize("before", ["", " "])
@pytest.mark.parametrize("key", ["message", "msg", "textPayload"])
def test_a_space_before_a_text_is_of_the_prefix_or_of_syslog(
    prefix: str, before: str, key: str
) -> None:
    reader = parser_of("stderr", prefix, is_fixed=False)
    values = {"%m": TIME, "%p": "7", "%q": "", "%u": "app", "%d": "shop"}
    for escape, value in values.items():
        prefix = prefix.replace(escape, value)
    text = f"{before}{prefix}FATAL:  sorry, too many clients already"
    reader.feed(json.dumps({key: text, "events": [{"message": "kubernetes"}]}).encode() + b"\n")
    assert sum(seen(reader).values()) == 1
    assert reader.coverage.unparsed == 0


def test_fields_of_a_record_may_be_inside_of_an_object() -> None:
    reader = parser_of("stderr", is_fixed=False)
    native = json.loads(record("jsonlog", "FATAL", "sorry, too many clients already", code="53300"))
    reader.feed(json.dumps({"host": "db", "postgres": native}).encode() + b"\n")
    assert sum(seen(reader).values()) == 1


def test_the_rest_of_a_list_that_is_not_read_is_unparsed() -> None:
    reader = parser_of("stderr", "%m ", is_fixed=False)
    line = f"{TIME} FATAL:  sorry, too many clients already"
    objects = [json.dumps({"log": line})] * 1000
    objects[900] = json.dumps({"log": line, "more": "x" * 200_000})
    data = f"[{','.join(objects)}]\n".encode()
    for at in range(0, len(data), 10_000):
        reader.feed(data[at : at + 10_000])
    assert seen(reader) == {("refused", "too_many_connections", None): 901}
    assert reader.coverage.unparsed == 1


def test_a_long_text_is_no_list() -> None:
    """Neither in a record as PostgreSQL writes it nor in an object."""
    line = f"{TIME} FATAL:  sorry, too many clients already"
    statement = f"x{json.dumps([{'log': line}] * 2)}" * 1000
    for wrapped in (lambda text: text, lambda text: json.dumps({"tags": [{}, {}], "log": text})):
        reader = parser_of("stderr", "%m ", is_fixed=False)
        data = wrapped(f"{TIME} LOG:  statement: {statement}").encode() + b"\n"
        for at in range(0, len(data), 10_000):
            reader.feed(data[at : at + 10_000])
        assert seen(reader) == {}
        assert reader.coverage.unparsed == 0


def _times(value: Any, times: int) -> Any:
    if isinstance(value, dict):
        return {key: _times(one, times) for key, one in value.items()}
    return value * times
