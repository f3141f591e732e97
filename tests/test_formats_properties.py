"""What holds for every page of another library, however it was damaged or made up."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families as text_families

from pg_pool_exporter.formats import FORMATS
from pg_pool_exporter.metrics.series import of_pools
from pg_pool_exporter.metrics.text_format import blocks, page
from pg_pool_exporter.model import PoolId, PoolSample, Snapshot
from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.pages.reading.text_reader import PageReader
from pg_pool_exporter.sources.pages.series.foreign_page import automatic, table
from pg_pool_exporter.sources.pages.target_defaults import TargetDefaults

PAGES = {path.stem: path.read_bytes() for path in (Path(__file__).parent / "pages").glob("*.txt")}
TABLES = {name: table([form]) for name, form in FORMATS.items()}
SECRET = "hunter2"
DEFAULTS = TargetDefaults(app="orders", process="orders:8080", server="main", max_connections=20)

_pieces = st.sampled_from(
    [b'"', b"\\", b"\n", b"{", b"}", b" ", b"-", b"NaN", b"1e999", b"#", b",", b"=", b"_total"]
)
_mutations = st.lists(
    st.tuples(
        st.integers(0, 10_000),
        st.integers(0, 60),
        st.binary(max_size=4) | _pieces | st.sampled_from([*PAGES.values()]),
    ),
    min_size=1,
    max_size=6,
)


def check_valid(pools: Iterable[PoolSample]) -> None:
    """That the pools can be shown: no series twice, and text that both parsers take."""
    parts = [blocks(of_pools(pools))]
    list(text_families(page(parts)))
    # The library has types for the first parser only.
    list(openmetrics_families(page(parts, openmetrics=True)))  # type: ignore[no-untyped-call]
    lines = page(parts).removesuffix("\n").split("\n")
    series = [line.rpartition(" ")[0] for line in lines if not line.startswith("#")]
    assert len(series) == len({*series})


def read(reader: PageReader, body: bytes) -> Snapshot:
    """The pools of a page; one that can't be read has none."""
    with suppress(PollError):
        return reader.read(body)
    return Snapshot()


@pytest.mark.parametrize("name", PAGES)
@given(mutations=_mutations)
@settings(max_examples=25, deadline=None)
def test_a_damaged_page_is_read_to_valid_output_or_fails_as_a_poll(
    name: str, mutations: list[tuple[int, int, bytes]]
) -> None:
    body = PAGES[name]
    readers = [PageReader(automatic(), DEFAULTS)]
    if name in TABLES:
        readers.append(PageReader(TABLES[name], DEFAULTS))
    for reader in readers:
        reader.read(body)
    for place, length, text in mutations:
        at = place % (len(body) + 1)
        body = body[:at] + text + body[at + length :]
    for reader in readers:
        check_valid(read(reader, body).pools)


_names = st.sampled_from([*{name for form in FORMATS.values() for name in form.names()}])
_labels = {
    *(label for form in FORMATS.values() for aliases in form.pool for label in aliases),
    *(label for form in FORMATS.values() for names in form.process for label in names),
    *(label for form in FORMATS.values() for one in form.unless for label in one.labels),
    *(label for form in FORMATS.values() for value in form.values for w in value.where
      for label in w.labels),
    "le", "quantile", "app", "pool", "process",
}  # fmt: skip
_texts = st.sampled_from(
    [
        "idle",
        "used",
        "main",
        "a/b",
        "",
        "\r",
        "\x1e",
        'a"\\\n',
        "é" * 250,
        f"Host=h;Password={SECRET}",
    ]
)
_values = st.sampled_from(["0", "1", "7.5", "-1", "NaN", "+Inf", "1e308", "1e999", "2147483647"])


def _spelt(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _line(name: str, labels: dict[str, str], value: str) -> str:
    spelt = ",".join(f'{label}="{_spelt(text)}"' for label, text in labels.items())
    return f"{name}{{{spelt}}} {value}\n"


_lines = st.builds(
    _line, _names, st.dictionaries(st.sampled_from(sorted(_labels)), _texts, max_size=4), _values
)
_pages = st.lists(_lines, max_size=15).map(lambda lines: "".join(lines).encode())


@given(_pages, _pages)
@settings(max_examples=150, deadline=None)
def test_whatever_series_a_page_has_its_pools_can_be_shown(first: bytes, second: bytes) -> None:
    reader = PageReader(automatic(), DEFAULTS)
    for body in (first, second, first):
        snapshot = read(reader, body)
        check_valid(snapshot.pools)
        assert SECRET not in repr(snapshot)
        assert len({sample.key for sample in snapshot.pools}) == len(snapshot.pools)
        assert unnamed(read(PageReader(automatic(), DEFAULTS), body)) == unnamed(snapshot), (
            "whatever was read before, which can have been called alike"
        )


def unnamed(snapshot: Snapshot) -> list[PoolSample]:
    return [replace(sample, key=PoolId("", "", "")) for sample in snapshot.pools]


@given(_pages)
@settings(max_examples=50, deadline=None)
def test_lines_of_others_between_them_change_nothing(body: bytes) -> None:
    others = b"# HELP jvm_threads Threads.\n# TYPE jvm_threads gauge\njvm_threads{a=} x\n\n"
    between = others.join([b"", *(line + b"\n" for line in body.split(b"\n")), b""])
    found = [read(PageReader(automatic(), DEFAULTS), text) for text in (body, between)]
    assert found[0] == found[1]
