"""A page of metrics, good or hostile, becomes samples or one clear error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from pg_pool_exporter.metrics.catalogue import ACQUIRE_BOUNDS, OTHER, POOL_TIMEOUT_KINDS
from pg_pool_exporter.metrics.limiter import KEEP_SECONDS
from pg_pool_exporter.model import Histogram, PoolId, PoolSample, Snapshot
from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.pages.reading.text_reader import PageReader
from pg_pool_exporter.sources.pages.series.foreign_page import automatic
from pg_pool_exporter.sources.pages.target_defaults import TargetDefaults
from support.pages import page_of, pool

KEY = PoolId("orders", "main", "web:0")
OWN = 'app="orders",pool="main",process="web:0"'


def read(*lines: str | bytes) -> Snapshot:
    """A page of these lines, read for the first time."""
    encoded = [line.encode() if isinstance(line, str) else line for line in lines]
    return PageReader().read(b"\n".join([*encoded, b""]))


def error(*lines: str | bytes) -> str:
    """What is wrong with a page of these lines."""
    with pytest.raises(PollError) as caught:
        read(*lines)
    assert caught.value.reason == "protocol"
    return str(caught.value)


def waiting(value: float) -> PoolSample:
    """The pool of most lines below."""
    return PoolSample(key=KEY, waiting=value)


ACCEPTED = {
    "plain": f"pg_pool_waiting_requests{{{OWN}}} 3",
    "timestamp": f"pg_pool_waiting_requests{{{OWN}}} 3 1700000000000",
    "OpenMetrics timestamp": f"pg_pool_waiting_requests{{{OWN}}} 3 1.7e9",
    "tab before the timestamp": f"pg_pool_waiting_requests{{{OWN}}} 3\t17",
    "exemplar": f'pg_pool_waiting_requests{{{OWN}}} 3 # {{trace="a b"}} 0.5 1.7e9',
    "timestamp and exemplar": f'pg_pool_waiting_requests{{{OWN}}} 3 17 # {{trace="x"}} 0.5',
    "tabs and spaces": f"pg_pool_waiting_requests{{ {OWN.replace('=', ' = ')} , }}\t 3.0\t",
    "carriage return": f"pg_pool_waiting_requests{{{OWN}}} 3\r",
    "other order": 'pg_pool_waiting_requests{process="web:0",pool="main",app="orders"} 3e0',
}


@pytest.mark.parametrize("line", ACCEPTED.values(), ids=ACCEPTED)
def test_every_spelling_of_a_series_is_read_alike_each_time(line: str) -> None:
    reader = PageReader()
    for _ in range(2):
        assert reader.read(f"{line}\n".encode()).pools == (waiting(3),)


def test_what_is_not_wanted_is_passed_over_however_it_looks() -> None:
    snapshot = read(
        "# HELP pg_pool_waiting_requests Requests.",
        "# TYPE pg_pool_waiting_requests gauge",
        "# TYPE pg_pool_from_the_future summary",
        "# TYPE",
        "process_cpu_seconds_total{{{ garbage",
        "pg_pool_from_the_future{{{ garbage",
        b"\xff\x00\xfe",
        '{"quoted.name"} 1',
        f"pg_pool_waiting_requests{{{OWN}}} 3",
        "# EOF",
    )
    assert snapshot == Snapshot(pools=(waiting(3),))


def test_an_empty_page_has_no_pools() -> None:
    assert read() == Snapshot()


def test_a_value_that_is_not_a_number_on_purpose_is_absent() -> None:
    lines = f"pg_pool_waiting_requests{{{OWN}}} NaN", f"pg_pool_max_connections{{{OWN}}} 5"
    assert read(*lines).pools == (PoolSample(key=KEY, max=5),)


def test_labels_are_unescaped_and_invalid_utf8_is_replaced() -> None:
    snapshot = read(
        rb'pg_pool_waiting_requests{app="a\"\\b\nc",pool="caf' + b'\xe9\xff",process="p"} 1'
    )
    assert snapshot.pools[0].key == PoolId('a"\\b\nc', "caf\ufffd\ufffd", "p")


def test_long_names_are_cut_and_stay_apart() -> None:
    first, second = (
        read(f'pg_pool_waiting_requests{{app="{"x" * 10_000}{end}",pool="p",process="q"}} 1')
        .pools[0]
        .key.app
        for end in "ab"
    )
    assert len(first) == len(second) == 200
    assert first != second
    assert first.startswith("x" * 180)


BUCKETS = [
    f'pg_pool_acquire_seconds_bucket{{{OWN},le="{le}"}} 2' for le in (*ACQUIRE_BOUNDS, "+Inf")
]
WHOLE = [
    *BUCKETS,
    f"pg_pool_acquire_seconds_sum{{{OWN}}} 0.5",
    f"pg_pool_acquire_seconds_count{{{OWN}}} 2",
]


def test_a_histogram_is_read() -> None:
    expected = Histogram((2, *[0] * len(ACQUIRE_BOUNDS)), 0.5)
    assert read(*WHOLE).pools == (PoolSample(key=KEY, acquire=expected),)


@pytest.mark.parametrize(
    "lines",
    [
        WHOLE[1:],
        WHOLE[:-1],
        [*BUCKETS, WHOLE[-1]],
        [*WHOLE[:-1], WHOLE[-1].replace(" 2", " 3")],
        [WHOLE[0].replace(" 2", " 3"), *WHOLE[1:]],
        [WHOLE[0].replace(" 2", " 1.5"), *WHOLE[1:]],
        [WHOLE[0].replace(" 2", " NaN"), *WHOLE[1:]],
    ],
    ids=[
        "without a bucket",
        "without its count",
        "without its sum",
        "with another count",
        "with falling counts",
        "with half an observation",
        "with an unknown bucket count",
    ],
)
def test_a_histogram_that_is_not_whole_is_an_error(lines: list[str]) -> None:
    message = error("# a comment", *lines)
    assert message.startswith("line 2: ")
    assert "pg_pool_acquire_seconds" in message


MALFORMED = {
    "no labels": ("pg_pool_waiting_requests 1", "missing"),
    "no process": ('pg_pool_waiting_requests{app="a",pool="b"} 1', "missing"),
    "empty app": ('pg_pool_waiting_requests{app="",pool="b",process="c"} 1', "missing"),
    "no value": (f"pg_pool_waiting_requests{{{OWN}}}", "no value"),
    "no space": (f"pg_pool_waiting_requests{{{OWN}}}1", "no value"),
    "name only": ("pg_pool_waiting_requests", "no value"),
    "two values": (f"pg_pool_waiting_requests{{{OWN}}} 1 2 3", "wrong text after"),
    "text": (f"pg_pool_waiting_requests{{{OWN}}} many", "not a number"),
    "number of Python": (f"pg_pool_waiting_requests{{{OWN}}} 1_0", "no value"),
    "negative": (f"pg_pool_waiting_requests{{{OWN}}} -1", "negative"),
    "infinite": (f"pg_pool_waiting_requests{{{OWN}}} +Inf", "infinite"),
    "unterminated value": ('pg_pool_waiting_requests{app="a 1', "unterminated"),
    "unterminated braces": (f"pg_pool_waiting_requests{{{OWN} 1", "unterminated"),
    "no quotes": ("pg_pool_waiting_requests{app=a} 1", "malformed"),
    "wrong escape": (r'pg_pool_waiting_requests{app="\x"} 1', "malformed"),
    "double comma": ('pg_pool_waiting_requests{app="a",,pool="b"} 1', "malformed"),
    "label twice": (f'pg_pool_waiting_requests{{{OWN},app="b"}} 1', "same label twice"),
    "unknown state": (f'pg_pool_connections{{{OWN},state="busy"}} 1', "value of state"),
    "no state": (f"pg_pool_connections{{{OWN}}} 1", "value of state"),
    "no site": (f"pg_pool_leaked_slots{{{OWN}}} 1", "site is missing"),
    "unknown bucket": (f'pg_pool_hold_seconds_bucket{{{OWN},le="7"}} 1', "bucket"),
    "bucket of text": (f'pg_pool_hold_seconds_bucket{{{OWN},le="x"}} 1', "bucket"),
    "wrong type": ("# TYPE pg_pool_waiting_requests counter", "another type"),
    "no type": ("# TYPE pg_pool_waiting_requests", "another type"),
    "two types": ("# TYPE pg_pool_waiting_requests gauge gauge", "another type"),
    "OpenMetrics type": ("# TYPE pg_pool_requests gauge", "another type"),
    "endless line": (f"pg_pool_waiting_requests{{{OWN}}} 1{' ' * 70_000}", "longer than"),
}


@pytest.mark.parametrize(("line", "message"), MALFORMED.values(), ids=MALFORMED)
def test_one_wrong_line_makes_the_page_an_error_that_names_it(line: str, message: str) -> None:
    found = error(f"pg_pool_max_connections{{{OWN}}} 5", line)
    assert found.startswith("line 2: ")
    assert message in found


def test_a_wrong_value_of_a_known_series_is_found_too() -> None:
    reader = PageReader()
    reader.read(f"pg_pool_waiting_requests{{{OWN}}} 1\n".encode())
    with pytest.raises(PollError, match="line 1: the value is negative"):
        reader.read(f"pg_pool_waiting_requests{{{OWN}}} -1\n".encode())


@pytest.mark.parametrize(
    "second", [ACCEPTED["plain"], ACCEPTED["other order"]], ids=["alike", "spelt otherwise"]
)
def test_a_series_twice_is_an_error(second: str) -> None:
    assert error(ACCEPTED["plain"], second) == "line 2: the same series twice"


def test_two_infos_for_one_pool_are_an_error() -> None:
    lines = [f'pg_pool_info{{{OWN},pid="{pid}"}} 1' for pid in (1, 2)]
    assert "more than one info" in error(*lines)


def test_pools_over_the_cap_are_left_out_and_counted() -> None:
    pools = [pool(name=f"pool-{number:03}") for number in range(120)]
    snapshot = PageReader().read(page_of(*pools))
    assert snapshot == Snapshot(pools=tuple(pools[:100]), folded=20)


def test_the_biggest_sites_keep_their_names_and_the_rest_is_added_up() -> None:
    sites = {f"app.py:{number} view": float(number) for number in range(1, 121)}
    snapshot = PageReader().read(page_of(replace(pool(), leaked_slots={OTHER: 7, **sites})))
    found = snapshot.pools[0].leaked_slots
    assert found[OTHER] == 7 + sum(range(1, 71))
    assert min(value for site, value in found.items() if site != OTHER) == 71
    assert len(found) == 51
    assert snapshot.folded == 70


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_pool_that_has_a_place_keeps_it_whatever_comes_before_it_on_the_page() -> None:
    clock = Clock()
    reader = PageReader(max_pools=2, clock=clock)
    old, new = [pool(name="b"), pool(name="c")], [pool(name=f"a{number}") for number in range(9)]
    assert reader.read(page_of(*old)) == Snapshot(pools=tuple(old))
    for _ in range(2):
        clock.now += KEEP_SECONDS
        assert reader.read(page_of(*new, *old)) == Snapshot(pools=tuple(old), folded=9)
    assert reader.read(page_of(*new)) == Snapshot(pools=tuple(new[:2]), folded=7)


def test_pools_that_change_from_page_to_page_get_few_names_in_an_hour() -> None:
    clock = Clock()
    reader = PageReader(max_pools=10, clock=clock)
    seen: set[PoolId] = set()
    for second in range(0, 3600, 5):
        clock.now = second
        lines = (
            f'pg_pool_waiting_requests{{app="a",pool="{second} {at}",process="p"}} 1\n'
            for at in range(15)
        )
        snapshot = reader.read("".join(lines).encode())
        assert len(snapshot.pools) + snapshot.folded == 15
        seen |= {sample.key for sample in snapshot.pools}
    assert len(seen) <= 2 * 10 * 3600 / KEEP_SECONDS


def test_a_site_at_the_cut_does_not_flicker() -> None:
    clock = Clock()
    reader = PageReader(max_sites=1, clock=clock)

    def sites(**sizes: float) -> Mapping[str, float]:
        page = page_of(replace(pool(), leaked_slots=sizes, overdue={"elsewhere": 1}))
        sample = reader.read(page).pools[0]
        assert sample.overdue == {"elsewhere": 1}
        return sample.leaked_slots

    assert sites(a=2, b=1) == {"a": 2, OTHER: 1}
    assert sites(a=2, b=3) == {"a": 2, OTHER: 3}
    clock.now = KEEP_SECONDS
    assert sites(a=2, b=3) == {"b": 3, OTHER: 2}


def test_kinds_of_timeouts_that_nobody_knows_are_added_up() -> None:
    """So that no counter ever changes between a name of its own and `other`."""
    known = dict.fromkeys(POOL_TIMEOUT_KINDS, 1.0)
    sample = replace(pool(), timeouts={**known, OTHER: 2, "disk": 3, "moon": 4})
    snapshot = PageReader().read(page_of(sample))
    assert snapshot.pools[0].timeouts == {**known, OTHER: 9}
    assert snapshot.folded == 2


@pytest.mark.parametrize("text", ["1_0", "\u0661", "0x1", "1 2x", "infinit", "--1", "1e", "1\v"])
def test_a_known_series_accepts_no_other_spelling_of_a_number_than_a_new_one(text: str) -> None:
    line = f"pg_pool_waiting_requests{{{OWN}}}"
    reader = PageReader()
    reader.read(f"{line} 1\n".encode())
    for one in (PageReader(), reader):
        with pytest.raises(PollError):
            one.read(f"{line} {text}\n".encode())


def test_a_page_on_which_all_values_are_nan_is_an_error() -> None:
    assert "NaN" in error(
        f"pg_pool_waiting_requests{{{OWN}}} NaN", f'pg_pool_info{{{OWN},client="c"}} 1'
    )
    reader = PageReader(automatic(), TargetDefaults(app="orders", process="p"))
    with pytest.raises(PollError, match="NaN"):
        reader.read(b'hikaricp_connections_max{pool="main"} NaN\n')


def test_an_empty_page_where_a_foreign_library_had_pools_is_an_error() -> None:
    reader = PageReader(automatic(), TargetDefaults(app="orders", process="p"))
    assert reader.read(b"") == Snapshot()
    reader.read(b'hikaricp_connections_max{pool="main"} 5\n')
    for _ in range(2):
        with pytest.raises(PollError, match="empty"):
            reader.read(b"")
    assert len(reader.read(b'hikaricp_connections_max{pool="main"} 5\n').pools) == 1


def test_an_application_of_ours_may_close_all_its_pools() -> None:
    reader = PageReader(automatic(), TargetDefaults(app="orders", process="p"))
    reader.read(page_of(pool()))
    assert reader.read(b"") == Snapshot()


def test_a_page_without_length_that_has_lost_series_is_read_only_when_it_stays_so() -> None:
    reader = PageReader()
    whole, part = page_of(pool(), pool(name="other")), page_of(pool())
    for _ in range(2):
        assert len(reader.read(whole, length_known=False).pools) == 2
        with pytest.raises(PollError, match="cut"):
            reader.read(part, length_known=False)
    assert len(reader.read(part, length_known=False).pools) == 1
    assert len(reader.read(b"", length_known=True).pools) == 0


def test_a_failed_page_does_not_spoil_the_next() -> None:
    reader = PageReader()
    for _ in range(2):
        assert reader.read(page_of(pool())).pools == (pool(),)
        with pytest.raises(PollError):
            reader.read(page_of(pool()) * 2)
