"""What holds for every page, whatever pools it shows and however it was damaged."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families as text_families

from pg_pool_exporter.metrics.catalogue import (
    ACQUIRE_BOUNDS,
    DEMAND_BOUNDS,
    HOLD_BOUNDS,
    POOL_INFO,
    POOL_TIMEOUT_KINDS,
)
from pg_pool_exporter.metrics.series import POOL, of_pools
from pg_pool_exporter.metrics.text_format import blocks, page
from pg_pool_exporter.model import Histogram, PoolId, PoolInfo, PoolSample
from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.pages.reading.text_reader import PageReader
from support.pages import page_of, pool

# Surrogates can't be in a page; empty and overlong names are other tests'.
_text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
_value = st.floats(min_value=0, max_value=1e300)
_count = st.integers(min_value=0, max_value=2**40)


def _histograms(bounds: tuple[float, ...]) -> st.SearchStrategy[Histogram | None]:
    counts = st.lists(_count, min_size=len(bounds) + 1, max_size=len(bounds) + 1).map(tuple)
    return st.none() | st.builds(Histogram, counts, _value)


_infos = st.builds(PoolInfo, **{name: st.just("") | _text for name in POOL_INFO.own})
_samples = st.builds(
    PoolSample,
    key=st.builds(PoolId, _text, _text, _text),
    timeouts=st.dictionaries(st.sampled_from(POOL_TIMEOUT_KINDS), _value),
    leaked_slots=st.dictionaries(_text, _value, max_size=3),
    reclaimed=st.dictionaries(_text, _value, max_size=3),
    instances=st.dictionaries(_text, _value, max_size=3),
    overdue=st.dictionaries(_text, _value, max_size=3),
    acquire=_histograms(ACQUIRE_BOUNDS),
    hold=_histograms(HOLD_BOUNDS),
    demand=_histograms(DEMAND_BOUNDS),
    info=st.none() | st.builds(PoolInfo, **{name: st.just("") | _text for name in POOL_INFO.own}),
    **{scalar.field: st.none() | _value for scalar in POOL.scalars},
)
_pools = st.lists(_samples, max_size=3, unique_by=lambda sample: sample.key)


@given(_pools, st.booleans())
@settings(max_examples=100, deadline=None)
def test_whatever_is_written_reads_back_equal(pools: list[PoolSample], openmetrics: bool) -> None:
    body = page([blocks(of_pools(pools))], openmetrics=openmetrics).encode()
    reader = PageReader()
    for _ in range(2):
        found = {sample.key: sample for sample in reader.read(body).pools}
        # A pool without any value has no series.
        assert found == {s.key: s for s in pools if s != PoolSample(key=s.key)}


_mutations = st.lists(
    st.tuples(
        st.integers(0, 10_000),
        st.integers(0, 60),
        st.binary(max_size=4)
        | st.sampled_from([b'"', b"\\", b"\n", b"{", b"}", b" ", b"-", b"NaN", b"1e999", b"#"]),
    ),
    min_size=1,
    max_size=6,
)


@pytest.mark.slow
@given(_pools, _mutations)
@settings(max_examples=300, deadline=None)
def test_a_damaged_page_is_read_to_valid_output_or_fails_as_a_poll(
    pools: list[PoolSample], mutations: list[tuple[int, int, bytes]]
) -> None:
    body = page_of(pool(), *pools)
    reader = PageReader()
    reader.read(body)
    for place, length, text in mutations:
        at = place % (len(body) + 1)
        body = body[:at] + text + body[at + length :]
    try:
        snapshot = reader.read(body)
    except PollError:
        return
    parts = [blocks(of_pools(snapshot.pools))]
    list(text_families(page(parts)))
    # The library has types for the first parser only.
    list(openmetrics_families(page(parts, openmetrics=True)))  # type: ignore[no-untyped-call]
