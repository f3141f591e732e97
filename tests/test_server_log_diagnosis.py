"""What is proposed for a log that is not understood."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from pg_pool_exporter.sources.server_log.diagnosis import advice
from pg_pool_exporter.sources.server_log.format.layouts import Format
from pg_pool_exporter.sources.server_log.format.log_format import LogFormat

EXCERPTS = Path(__file__).parent / "log_excerpts"


def lines_of(name: str) -> Sequence[bytes]:
    return (EXCERPTS / f"{name}.log").read_bytes().split(b"\n")[:-1]


@pytest.mark.parametrize(
    ("excerpt", "form", "prefix", "wrapping", "proposed"),
    [
        ("debian", "stderr", "%m [%p] ", "auto", "set line_prefix: '%m [%p] %q%u@%d '"),
        ("rds", "stderr", "%t ", "auto", "set line_prefix: '%t:%r:%u@%d:[%p]:'"),
        ("azure", "stderr", "%t:%c-", "auto", "set line_prefix: '%t-%c-'"),
        ("postgresql-default", "stderr", "%t [%p] ", "auto", "set line_prefix: '%m [%p] '"),
        ("patroni", "stderr", "%t ", "auto", "set line_prefix: '%m [%p] %q%u@%d '"),
        ("debian", "csvlog", None, "auto",
         "set format: stderr and line_prefix: '%m [%p] %q%u@%d '"),
        ("debian", "csvlog", "%m [%p] %q%u@%d ", "auto", "set format: stderr"),
        ("csvlog", "stderr", "%m [%p] ", "auto", "set format: csvlog"),
        ("jsonlog", "stderr", "%m [%p] ", "auto", "set format: jsonlog"),
        ("docker", "stderr", "%m [%p] %q%u@%d ", "none", "set wrapping: auto"),
        ("docker", "stderr", "%m [%p] %q%u@%d ", "cri", "set wrapping: auto"),
        ("cloudwatch-csv", "stderr", "%m [%p] %q%u@%d ", "auto", "set wrapping: csv"),
        ("azure-csv", "stderr", "%t-%c-", "auto", "set wrapping: csv"),
    ],
)  # fmt: skip
def test_what_fits_is_proposed(
    excerpt: str, form: Format, prefix: str | None, wrapping: str, proposed: str
) -> None:
    text = advice(LogFormat(form, prefix, (), wrapping), lines_of(excerpt))
    assert proposed in text
    assert "anna" not in text


@pytest.mark.parametrize(("wrapping", "head"), [
    ("auto", b"db-1  | "), ("none", b"shop_db.1.ab@node-1    | "), ("syslog", b"[pod/db-0/main] "),
])  # fmt: skip
def test_a_wrapping_that_looks_like_the_prefix_has_to_be_set(wrapping: str, head: bytes) -> None:
    """`auto` leaves out what Compose writes where the prefix has the same separator."""
    prefix = "%m [%p] [%a] [%u] [%d] | "
    line = b"2026-11-24 10:00:00.123 UTC [7] [web] [anna] [shop] | ERROR:  canceling statement"
    text = advice(LogFormat("stderr", prefix, (), wrapping, False), [head + line] * 10)
    assert "set wrapping: compose" in text
    assert "anna" not in text


def test_an_unknown_wrapping_is_named_as_such() -> None:
    for between in ([], [b"    _PID=4711", b"    PRIORITY=6", b"    _TRANSPORT=stdout"]):
        lines = [
            one for line in lines_of("debian") for one in (b"    MESSAGE=" + line, *between)
        ]  # fmt: skip
        text = advice(LogFormat("stderr", "%m [%p] %q%u@%d ", ()), lines)
        assert "no known wrapping" in text


@pytest.mark.parametrize("form", ["stderr", "jsonlog"])
def test_objects_on_several_lines_are_named_as_such(form: Format) -> None:
    records = [json.loads(line) for line in lines_of("jsonlog")]
    lines = json.dumps(records, indent=2).encode().split(b"\n")
    assert "without a known line" in advice(LogFormat(form, "%m [%p] ", ()), lines)
    assert "set wrapping: auto" in advice(LogFormat(form, "%m [%p] ", (), "cri"), lines)


def test_a_log_of_another_program_is_named_as_such() -> None:
    lines = [b"2026-11-28 22:30:00,123 INFO: no action. I am (shop-0), the leader"] * 9
    assert "lines of Patroni" in advice(LogFormat("stderr", "%m [%p] ", ()), lines)


@pytest.mark.parametrize("lines", [[], [b""], [b"once upon a time", b"there was a server"]])
def test_where_nothing_fits_it_says_where_to_look(lines: Sequence[bytes]) -> None:
    assert "SHOW log_line_prefix" in advice(LogFormat("stderr", "%m [%p] ", ()), lines)
