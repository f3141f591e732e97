"""Formats that users describe in the configuration."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import pytest

from pg_pool_exporter.config import ConfigError, load
from pg_pool_exporter.discovery import Discovery, Target
from pg_pool_exporter.formats import FORMATS
from pg_pool_exporter.model import PoolId, PoolInfo, PoolSample
from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.pages.app_page import AppPage
from pg_pool_exporter.sources.pages.reading.text_reader import PageReader
from pg_pool_exporter.sources.pages.series.foreign_page import table

C3P0 = """
- name: c3p0
  client: c3p0
  pool: [source, role]
  process: pid
  values:
    max: c3p0_max
    idle: {series: [c3p0_count, c3p0_old_count], labels: {state: idle}}
    active: {series: [c3p0_count, c3p0_old_count], labels: {state: busy}}
    acquire_wait: {series: c3p0_wait_milliseconds_sum, unit: ms}
    oldest_idle: {series: c3p0_idle_age, unit: us}
    pool_timeouts: c3p0_timeouts_total
    connect_timeouts: c3p0_connect_timeouts
"""
PAGE = b"""\
c3p0_max{source="a",role="ro",pid="7"} 9
c3p0_count{source="a",role="ro",pid="7",state="idle"} 2
c3p0_count{source="a",role="ro",pid="7",state="busy"} 3
c3p0_count{source="a",role="ro",pid="7",state="opening"} 1
c3p0_old_count{source="a",role="ro",pid="7",state="busy"} 77
c3p0_wait_milliseconds_sum{source="a",role="ro",pid="7"} 1500
c3p0_idle_age{source="a",role="ro",pid="7"} 2.5e6
c3p0_timeouts_total{source="a",role="ro",pid="7"} 4
c3p0_connect_timeouts{source="a",role="ro",pid="7"} 0
"""


def write(directory: Path, formats: str, app: str = "format: c3p0") -> Path:
    path = directory / "config.yaml"
    path.write_text(
        f"socket_dir: ''\napps: [{{name: orders, targets: ['http://orders:1'], {app}}}]\n"
        f"formats:\n{indent(dedent(formats).strip(), '  ')}\n"
    )
    return path


def mistakes(path: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(path)
    return str(caught.value).replace(f"{path}:", "").splitlines()


def targets(path: Path) -> tuple[Target, ...]:
    return Discovery(load(path)).targets()


def test_a_page_is_read_as_its_format_is_described(tmp_path: Path) -> None:
    [target] = targets(write(tmp_path, C3P0))
    page: AppPage = target.settings[0]
    assert not isinstance(page.format, str)
    snapshot = PageReader(table([page.format]), page.defaults).read(PAGE)
    assert snapshot.pools == (
        PoolSample(
            key=PoolId("orders", "a/ro", "orders:1:7"),
            idle=2,
            active=3,
            max=9,
            acquire_wait=1.5,
            oldest_idle=2.5,
            timeouts={"pool": 4, "connect": 0},
            info=PoolInfo(client="c3p0", source="c3p0", application="orders"),
        ),
    )


def test_a_target_is_another_one_when_its_format_has_changed(tmp_path: Path) -> None:
    before = targets(write(tmp_path, C3P0))
    assert targets(write(tmp_path, C3P0)) == before
    assert targets(write(tmp_path, C3P0.replace("c3p0_max", "c3p0_most"))) != before


def test_every_known_format_can_be_named(tmp_path: Path) -> None:
    for name in ("auto", "native", "jolokia", *FORMATS):
        load(write(tmp_path, C3P0, app=f"format: {name}"))


def test_all_mistakes_are_reported_with_their_places(tmp_path: Path) -> None:
    formats = """
    - name: otel
      values: {max: a}
    - name: c3p0
      values:
        maximum: a
        idle: 7
        active: {series: [], unit: s}
        waiting: {series: 'a{b="c"}'}
        acquire_wait: {series: a, unit: minutes}
        held: {unit: ms}
        lost: {series: a, scale: 2}
        acquired: {series: a, labels: {1a: b}}
    - name: c3p0
      pool: [a-b]
      process: [pid]
      values: {max: {series: a, unit: ms}}
    - name: empty
      values: {}
    - name: missing
    """
    said = mistakes(write(tmp_path, formats, app="format: c3po"))
    assert [line.split(": ", 2)[1:] for line in said] == [
        ["apps[0].format", said[0].split(": ", 2)[2]],
        ["formats[0].name", "must not be the name of a format that is known already; found 'otel'"],
        ["formats[1].values.maximum", said[2].split(": ", 2)[2]],
        ["formats[1].values.idle", "must be a mapping of keys to values"],
        ["formats[1].values.active.series", "must name 1 to 20; found nothing"],
        [
            "formats[1].values.waiting.series[0]",
            "must be the name of a series: letters, digits and _; found 'a{b=\"c\"}'",
        ],
        [
            "formats[1].values.acquire_wait.unit",
            "must be one of 's', 'ms', 'us' or 'ns'; found 'minutes'",
        ],
        ["formats[1].values.held.series", "is required"],
        [
            "formats[1].values.lost.scale",
            "is an unknown key (known keys: series, labels, unit)",
        ],
        [
            "formats[1].values.acquired.labels.1a",
            "must be the name of a label: letters, digits and _; found '1a'",
        ],
        ["formats[2].name", "must be unique; formats[1].name is the same"],
        [
            "formats[2].pool[0]",
            "must be the name of a label: letters, digits and _; found 'a-b'",
        ],
        ["formats[2].process", "must be text; found a list"],
        ["formats[2].values", "must have no unit for max, which is no time"],
        ["formats[3].values", "must hold at least one value"],
        ["formats[4].values", "is required"],
    ]
    assert said[0].endswith("; did you mean c3p0?")
    assert "must hold none but idle, active, max, " in said[2]


SHOP = """
- name: shop
  pool: name
  labels: {kind: sql*}
  values:
    max: "*_pool_size"
    active: "shop_busy*"
"""


def test_names_match_by_their_ends_and_series_by_a_label(tmp_path: Path) -> None:
    [target] = targets(write(tmp_path, SHOP, "format: shop"))
    page: AppPage = target.settings[0]
    assert not isinstance(page.format, str)
    labels = '{name="a",kind="sql-pool"}'
    body = (
        f"eu_pool_size{labels} 5\nus_pool_size{labels} 6\nshop_busy_connections{labels} 1\n"
        'eu_pool_size{name="a",kind="http"} 7\n_pool_size{name="b",kind="sql"} 8\n'
    )
    pools = PageReader(table([page.format]), page.defaults).read(body.encode()).pools
    assert {one.key.process: (one.max, one.active) for one in pools} == {
        "orders:1:eu": (5, None),
        "orders:1:us": (6, None),
        "orders:1": (None, 1),
    }


def read(directory: Path, formats: str, *lines: str) -> list[PoolSample]:
    [target] = targets(write(directory, formats, "format: shop"))
    page: AppPage = target.settings[0]
    assert not isinstance(page.format, str)
    body = "\n".join([*lines, ""]).encode()
    return [*PageReader(table([page.format]), page.defaults).read(body).pools]


@pytest.mark.parametrize(
    ("idle", "active"),
    [
        ("*pool_idle", "*connections_active"),
        ("*pool_idle", "*pool_active"),
        ("*pool_idle", "*pool_idle_not"),
        ("*pool_idle", "shop_active*"),
        ("*pool_idle", "shop_active"),
    ],
)
def test_names_that_match_by_their_ends_need_nothing_in_common(
    tmp_path: Path, idle: str, active: str
) -> None:
    formats = f"- name: shop\n  values: {{idle: '{idle}', active: '{active}'}}\n"
    names = [
        name.replace("*", "shop_" if name.startswith("*") else "_now") for name in (idle, active)
    ]
    pools = read(tmp_path, formats, f"{names[0]} 3", f"{names[1]} 2")
    assert {one.idle for one in pools} - {None} == {3}
    assert {one.active for one in pools} - {None} == {2}


def test_two_names_that_fit_one_beginning_are_an_error_that_says_which(tmp_path: Path) -> None:
    formats = "- name: shop\n  values: {idle: foo_idle*, active: foo_active*}\n"
    lines = ["foo_idle_connections 3", "foo_active_connections 2"]
    [sample] = read(tmp_path, formats, *lines)
    assert (sample.idle, sample.active) == (3, 2)
    with pytest.raises(PollError, match=r"^line 3: another .* `foo_idle\*` of the format, too"):
        read(tmp_path, formats, *lines, "foo_idle_max 5")


@pytest.mark.parametrize("name", ["*", "a*b", "*_*", "**", "*a"])
def test_a_name_has_one_end_that_can_be_anything(tmp_path: Path, name: str) -> None:
    text = SHOP.replace("*_pool_size", name)
    [message] = mistakes(write(tmp_path, text, "format: shop"))
    assert "must be the name of a series" in message
