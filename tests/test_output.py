"""What commands print of names and messages that others made up."""

from __future__ import annotations

import json

import pytest

from pg_pool_exporter.commands.demo.table import table
from pg_pool_exporter.commands.output import complain, write

HOSTILE = "\x1b[2J\x1b]0;title\x07\r\u202e\x9b31m"


def is_harmless(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n"))


def test_a_terminal_obeys_nothing_that_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    page = f'pg_pool_up{{app="{HOSTILE}"}} 1\n'
    write(page)
    write(json.dumps({"app": HOSTILE}, ensure_ascii=False) + "\n")
    complain(f"cannot read {HOSTILE}")
    printed = capsys.readouterr()
    assert printed.out.startswith('pg_pool_up{app="')
    assert printed.out.count("\n") == 2
    assert is_harmless(printed.out)
    assert is_harmless(printed.err)


def test_the_demonstration_s_table_has_one_harmless_line_a_pool() -> None:
    name = HOSTILE + "\\n"
    page = f'pg_pool_max_connections{{app="{name}",pool="{name}",process="a"}} 5\n'
    text = table(page)
    assert text.count("\n") == 1
    assert is_harmless(text)
