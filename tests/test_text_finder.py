"""The texts of a log are found alike with the extra `logs`, by an automaton, and without it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from conftest import require
from pg_pool_exporter.sources.server_log.counting import parser, text_finder
from pg_pool_exporter.sources.server_log.counting.searches import searches
from pg_pool_exporter.sources.server_log.counting.sessions import SessionTexts
from pg_pool_exporter.sources.server_log.counting.text_finder import HAS_AUTOMATON, Hit, TextFinder
from pg_pool_exporter.sources.server_log.format.layouts import Csv, Json, Layout, Stderr
from pg_pool_exporter.sources.server_log.format.prefix import parse
from pg_pool_exporter.sources.server_log.messages.catalogue import messages
from support.server_log import FORMATS, PREFIX, parser_of, record, seen

LAYOUTS: tuple[Layout, ...] = (Stderr(parse(PREFIX), [b"LOG"]), Csv(), Json())
EVERY_LANGUAGE = tuple(messages(None))
SESSIONS = SessionTexts(EVERY_LANGUAGE)
# Few letters, so that texts contain, repeat and overlap each other; the last is not ASCII.
LETTERS = [b"a", b"b", b"\xd0"]
TEXTS = st.lists(
    st.lists(st.sampled_from(LETTERS), min_size=1, max_size=20).map(b"".join),
    min_size=1, max_size=5, unique=True,
).map(lambda texts: sorted(texts, key=lambda text: not text.isascii()))  # fmt: skip


def hits(texts: list[bytes], data: bytes, end: int, *, by_automaton: bool) -> list[Hit]:
    return list(TextFinder(texts, by_automaton=by_automaton).find(data, end))


@pytest.fixture(autouse=True, scope="module")
def has_automaton() -> None:
    require(HAS_AUTOMATON, "the package of the extra `logs`")


@given(TEXTS, st.lists(st.sampled_from(LETTERS), max_size=60).map(b"".join), st.integers(0, 60))
def test_both_ways_find_the_same(texts: list[bytes], data: bytes, end: int) -> None:
    end = min(end, len(data))
    found = hits(texts, data, end, by_automaton=True)
    assert hits(texts, data, end, by_automaton=False) == found
    assert all(data[start:stop] == texts[which] for which, start, stop in found)


@pytest.mark.parametrize("layout", LAYOUTS, ids=FORMATS)
@given(data=st.data())
def test_both_ways_find_the_same_texts_of_all_languages(
    layout: Layout, data: st.DataObject
) -> None:
    texts = [one.text for one in searches(layout, EVERY_LANGUAGE, SESSIONS)]
    parts = data.draw(st.lists(st.tuples(st.sampled_from(texts), st.integers(0, 9)), max_size=9))
    # Cut texts begin or end in the middle of the next one.
    joined = b"".join(text[: len(text) - cut] for text, cut in parts)
    found = hits(texts, joined, len(joined), by_automaton=True)
    assert hits(texts, joined, len(joined), by_automaton=False) == found
    if all(cut == 0 for _, cut in parts) and parts:
        assert found


@pytest.mark.parametrize("layout", LAYOUTS, ids=FORMATS)
def test_no_text_of_a_record_is_part_of_another_one(layout: Layout) -> None:
    """Only one of them would be found."""
    texts = [one.text for one in searches(layout, EVERY_LANGUAGE, SESSIONS)]
    assert [(one, other) for one in texts for other in texts if one != other and one in other] == []


def test_logs_with_the_same_texts_share_their_automata(monkeypatch: pytest.MonkeyPatch) -> None:
    """In all languages they take a quarter of a MiB."""
    built = []
    automaton = vars(text_finder)["BytesAhoCorasick"]

    def build(texts: Sequence[bytes], **how: Any) -> Any:
        built.append(texts)
        return automaton(texts, **how)

    monkeypatch.setattr(text_finder, "BytesAhoCorasick", build)
    finders = [TextFinder([b"shared", b"\xd0 shared"]) for _ in range(20)]
    assert [list(one.find(b"\xd0 shared", 8)) for one in finders] == [[(1, 0, 8)]] * 20
    assert len(built) == 2


def test_every_excerpt_is_counted_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    ways = []
    for by_automaton in (True, False):
        finder = partial(TextFinder, by_automaton=by_automaton)
        monkeypatch.setattr(parser, "TextFinder", finder)
        reader = parser_of("stderr", PREFIX, None, is_fixed=False)
        found = {}
        for path in sorted((Path(__file__).parent / "log_excerpts").glob("*.log")):
            reader.restart(path.name)
            reader.feed(path.read_bytes())
            found[path.name] = seen(reader)
        ways.append(found)
    assert ways[0] == ways[1]


def test_a_log_is_counted_where_the_extra_is_not_installed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(record("stderr", "FATAL", "sorry, too many clients already", code="53300"))
    program = (
        "import sys; sys.modules['ahocorasick_rs'] = None\n"
        "from pg_pool_exporter.sources.server_log.format.log_format import LogFormat\n"
        "from pg_pool_exporter.sources.server_log.counting.reader import LogReader\n"
        f"reader = LogReader(LogFormat('stderr', {PREFIX!r}, ()))\n"
        "reader.feed(open(sys.argv[1], 'rb').read())\n"
        "print(*(event.value for event, _ in reader.take_tally()))\n"
    )
    command = [sys.executable, "-c", program, str(log)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["too_many_connections"]
