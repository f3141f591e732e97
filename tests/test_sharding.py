"""Several exporters divide the targets of one configuration."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from conftest import require
from pg_pool_exporter.commands.configuration import configuration
from pg_pool_exporter.commands.options import Options
from pg_pool_exporter.config import Config, Shard, parse_shard, part_of
from pg_pool_exporter.config.sharding import divided
from support.postgres import wait_until
from support.programs import (
    Prometheus,
    answers,
    exporter,
    fetch,
    free_port,
    running,
)
from support.rule_files import DIRECTORY
from support.scaled_rules import write_scaled

PATTERNS = ("server-{}", "db{}", "pg-{:03}.shop.svc")


def _names(pattern: str, count: int = 300) -> list[str]:
    return [pattern.format(number) for number in range(count)]


def _config() -> Config:
    return Config.model_validate(
        {
            "servers": [{"name": f"s{n}", "dsn": f"host=s{n}"} for n in range(30)],
            "apps": [
                {"name": f"a{n}", "server": f"s{n % 30}", "targets": [f"http://a{n}:80"]}
                for n in range(90)
            ]
            + [{"name": f"alone{n}", "targets": [f"http://b{n}:80"]} for n in range(10)],
            "pgbouncers": [{"name": f"b{n}", "dsn": f"host=b{n} port=6432"} for n in range(10)],
        }
    )


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_work_is_divided_evenly(pattern: str) -> None:
    parts = Counter(divided(_names(pattern), 5).values())
    assert set(parts) == {1, 2, 3, 4, 5}
    assert max(parts.values()) <= 60 * 1.05
    assert min(parts.values()) >= 60 * 0.8


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_further_shard_takes_its_share_and_little_else_moves(pattern: str) -> None:
    names = _names(pattern)
    before, after = divided(names, 5), divided(names, 6)
    moved = [name for name in names if before[name] != after[name]]
    assert len(moved) <= 300 / 6 * 1.25
    assert sum(after[name] != 6 for name in moved) <= 10


@pytest.mark.parametrize("pattern", PATTERNS)
def test_one_server_more_moves_few_others(pattern: str) -> None:
    before, after = divided(_names(pattern), 5), divided(_names(pattern, 301), 5)
    assert sum(before[name] != after[name] for name in before) <= 10


def test_the_order_of_the_file_has_no_effect() -> None:
    names = _names("db{}")
    assert divided(names, 7) == divided(reversed(names), 7)


def test_every_target_has_exactly_one_shard_and_an_application_that_of_its_server() -> None:
    config = _config()
    parts = [part_of(config, Shard(number, 4)) for number in range(1, 5)]
    for kind in ("servers", "apps", "pgbouncers"):
        names = [one.name for part in parts for one in getattr(part, kind)]
        assert sorted(names) == sorted(one.name for one in getattr(config, kind))
    for part in parts:
        here = {server.name for server in part.servers}
        assert {app.server for app in part.apps if app.server} <= here


@pytest.mark.parametrize("shards", [2, 3, 4, 7])
def test_bouncers_that_applications_share_stay_together_with_them(shards: int) -> None:
    named = [["b0", "b1"], ["b2"], ["b1", "b2"], ["b5"]]
    config = Config.model_validate(
        {
            "apps": [{"name": f"a{n}", "bouncers": names} for n, names in enumerate(named)],
            "pgbouncers": [{"name": f"b{n}", "dsn": "host=x"} for n in range(8)],
        }
    )
    parts = [part_of(config, Shard(number, shards)) for number in range(1, shards + 1)]
    assert sorted(one.name for part in parts for one in part.pgbouncers) == [
        f"b{n}" for n in range(8)
    ]
    for part in parts:
        here = {one.name for one in part.pgbouncers}
        assert {name for app in part.apps for name in app.bouncers} <= here


def test_one_shard_has_everything_and_more_shards_than_names_leave_some_empty() -> None:
    config = _config()
    assert part_of(config, Shard(1, 1)) == config
    small = Config.model_validate({"servers": [{"name": "main", "dsn": "host=x"}]})
    assert sum(len(part_of(small, Shard(number, 9)).servers) for number in range(1, 10)) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1/1", Shard(1, 1)), ("2/5", Shard(2, 5)), ("100/100", Shard(100, 100))],
)
def test_a_shard_is_a_number_of_all(text: str, expected: Shard) -> None:
    assert parse_shard(text) == expected


@pytest.mark.parametrize("text", ["", "2", "0/5", "6/5", "1/101", "-1/5", "1/5/5", "a/b", "1 / 5"])
def test_a_wrong_shard_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"like 2/5"):
        parse_shard(text)


def test_the_flag_leaves_out_what_others_poll(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        "servers:\n" + "".join(f"  - {{name: s{n}, dsn: host=s{n}}}\n" for n in range(20))
    )
    loaded = [
        configuration(Options(command="run", config_file=file, shard=Shard(number, 2)))
        for number in (1, 2)
    ]
    assert all(part.servers for part in loaded)
    assert sum(len(part.servers) for part in loaded) == 20


def test_a_shard_that_runs_shows_which_one_it_is(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{(port := free_port())}/metrics"
    flags = ("--socket-dir=", f"--web.listen-address=127.0.0.1:{port}", "--shard=2/3")
    with running(exporter(*flags), log=tmp_path / "log"):
        wait_until(lambda: answers(url), "it answers")
        assert 'pg_pool_exporter_shards{shard="2"} 3\n' in fetch(url)


@pytest.mark.debian
@pytest.mark.slow
def test_prometheus_misses_a_shard_that_dies_and_one_of_another_number(
    promtool: Path, tmp_path: Path
) -> None:
    """The alerts of the rule file in a real Prometheus, whose minutes last 0.2 s."""
    program = promtool.with_name("prometheus")
    require(program.exists(), "Prometheus beside promtool")
    first, second = (f"127.0.0.1:{free_port()}" for _ in range(2))

    def shard(text: str, address: str) -> list[str]:
        return exporter("--socket-dir=", f"--web.listen-address={address}", f"--shard={text}")

    def firing() -> set[str]:
        alerts = prometheus.query('ALERTS{alertname=~"PgPoolExporterShard.*"}')
        return {labels["alertname"] for labels, _ in alerts if labels["alertstate"] == "firing"}

    log = tmp_path / "log"
    rules = write_scaled([DIRECTORY / "exporter.yml"], tmp_path, 300)
    with (
        running(shard("1/2", first), log=log),
        Prometheus(
            tmp_path, first, second, rules=rules, interval=0.5, program=program
        ) as prometheus,
    ):
        with running(shard("2/2", second), log=log):
            both = "count(count_over_time(pg_pool_exporter_shards[1m]) >= 8)"
            wait_until(lambda: prometheus.value(both) == 2, "both are scraped for 4 s", 60)
            assert firing() == set()
        wait_until(lambda: firing() == {"PgPoolExporterShardMissing"}, "one is missing", 30)
        with running(shard("2/3", second), log=log):
            wait_until(lambda: "PgPoolExporterShardsDisagree" in firing(), "they disagree", 30)
