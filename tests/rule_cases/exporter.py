"""Alerts about the exporter itself."""

from __future__ import annotations

from support.promtool import DASHBOARDS, RUNBOOKS, TARGET, Case, series

PROCESS = {"target": "web:0", "kind": "process"}
BUILD = series("pg_pool_exporter_build_info", "1x30", version="0.1.0", python="3.11")
JOB = {"job": TARGET["job"]}
LINKS = f'pg_pool_exporter:links:info{{runbooks="{RUNBOOKS}",dashboards="{DASHBOARDS}"}}'


def up(values: str, **labels: str) -> dict[str, str]:
    return series("pg_pool_exporter_target_up", values, **{**PROCESS, **labels})


def polled(values: str) -> dict[str, str]:
    return series("pg_pool_exporter_last_success_timestamp_seconds", values, **PROCESS)


LIST = {"app": "orders", "mechanism": "file_sd", "list": "/etc/orders.json"}
LOG = {"target": "main", "kind": "log"}


def discovered(values: str) -> dict[str, str]:
    return series("pg_pool_exporter_discovery_up", values, **LIST)


def state_saved(values: str) -> dict[str, str]:
    return series("pg_pool_exporter_log_state_saved", values, **LOG)


def shard(number: int, values: str | None = None, *, of: int = 3, **labels: str) -> dict[str, str]:
    value = values or f"{of}x30"
    return series("pg_pool_exporter_shards", value, shard=str(number), **labels)


def failures(values: str) -> dict[str, str]:
    return series("pg_pool_exporter_analysis_failures_total", values, analysis="leak")


def analysed(values: str) -> dict[str, str]:
    return series("pg_pool_exporter_last_analysis_timestamp_seconds", values)


CASES = {
    "PgPoolDataStale": [
        Case(
            "fires",
            "no successful poll since minute 0",
            up("1x20") | polled("0x20"),
            7,
            [{**TARGET, **PROCESS}],
            """The last successful poll of web:0 (kind process) was 7m 0s ago. First compare the
            clocks of the exporter's host and of Prometheus, and the target's poll interval with the
            threshold; then restart the exporter.""",
        ),
        Case("just below", "five minutes", up("1x20") | polled("0+60x5 _ 300"), 10),
        Case("silent", "it is polled", up("1x20") | polled("0+60x20"), 15),
        Case(
            "silent",
            "the target is down: that has an alert of its own",
            up("0x20") | polled("0x20"),
            15,
        ),
        Case("restart", "the exporter begins anew", up("1x30") | polled("0x8 540+60x20"), 12),
        Case("missing data", "it was never polled", up("1x20"), 15),
    ],
    "PgPoolExporterDown": [
        Case(
            "fires",
            "it was there today",
            series("up", "1x5 0x20") | series("pg_pool_exporter_build_info", "1x5 stale"),
            8,
            [TARGET],
            """db:10432 can't be scraped. First look whether the exporter runs and answers on its
            port.""",
        ),
        Case(
            "just below",
            "one scrape fails",
            series("up", "1x5 0 1x20") | series("pg_pool_exporter_build_info", "1x5 _ 1x20"),
            7,
        ),
        Case(
            "silent",
            "something else can't be scraped",
            series("up", "0x20", job="node") | BUILD,
            15,
        ),
        Case(
            "restart",
            "it comes back",
            series("up", "1x5 0x3 1x20") | series("pg_pool_exporter_build_info", "1x5 _x3 1x20"),
            12,
        ),
        Case("missing data", "it was never there", series("up", "0x20"), 15),
    ],
    "PgPoolExporterMissing": [
        Case(
            "fires",
            "nothing is scraped",
            series("up", "1x20", job="node"),
            5,
            [{}],
            """Prometheus has no data of a pg-pool-exporter. First look whether its scrape job is
            configured and whether the exporter runs.""",
        ),
        Case(
            "fires",
            "there is one, but that of another job is gone",
            BUILD | series("pg_pool_exporter_build_info", "1x5 stale", job="staging"),
            12,
            [{"job": "staging"}],
            """Prometheus has no data of a pg-pool-exporter of job staging any more. First look
            whether its scrape job is configured and whether the exporter runs.""",
        ),
        Case(
            "just below",
            "it comes after four minutes",
            series("pg_pool_exporter_build_info", "_x4 1x20", version="0.1.0"),
            7,
        ),
        Case(
            "restart",
            "it is away for two minutes",
            series("pg_pool_exporter_build_info", "1x5 stale _x1 1x20", version="0.1.0"),
            12,
        ),
        Case(
            "restart",
            "another pod takes its place",
            series("pg_pool_exporter_build_info", "1x5 stale", pod="exporter-a", instance="a")
            | series("pg_pool_exporter_build_info", "_x5 1x20", pod="exporter-b", instance="b"),
            15,
        ),
        Case(
            "missing data",
            "one of two is gone: that has an alert of its own",
            BUILD | series("pg_pool_exporter_build_info", "1x2 stale", instance="other:10432"),
            15,
        ),
    ],
    "PgPoolExporterShardMissing": [
        Case(
            "fires",
            "one of three is gone",
            shard(1) | shard(2, "3x5 stale") | shard(3),
            12,
            [JOB],
            """Prometheus has no data of 1 of the exporters that job pg-pools is divided among.
            First compare the numbers that pg_pool_exporter_shards has with those of --shard, and
            look whether Prometheus scrapes each of them.""",
        ),
        Case("fires", "two of three were never there", shard(2), 6, [JOB]),
        Case(
            "just below",
            "one comes after four minutes",
            shard(1, of=2) | shard(2, "_x4 2x20", of=2),
            7,
        ),
        Case("silent", "all are there", shard(1) | shard(2) | shard(3), 15),
        Case(
            "silent",
            "each twice, for availability, and one of them is gone",
            shard(1, of=2)
            | shard(2, of=2)
            | shard(1, "2x5 stale", instance="replica-1", of=2)
            | shard(2, instance="replica-2", of=2),
            15,
        ),
        Case(
            "restart",
            "another pod has the shard after two minutes",
            shard(1, of=2)
            | shard(2, "2x5 stale", pod="old", of=2)
            | shard(2, "_x8 2x20", instance="new", pod="new", of=2),
            15,
        ),
        Case(
            "several processes",
            "another one beside it is not divided",
            shard(1, of=1) | BUILD,
            15,
        ),
        Case(
            "missing data", "all are gone: that has an alert of its own", shard(1, "3x5 stale"), 15
        ),
    ],
    "PgPoolExporterShardsDisagree": [
        Case(
            "fires",
            "the third of three has one of two beside it",
            shard(1) | shard(2, of=2) | shard(3),
            12,
            [JOB],
            """Some exporters of job pg-pools divide the targets by 3, others by less: some targets
            are polled twice, and others by nobody. First compare the values of
            pg_pool_exporter_shards, and restart those with the wrong number. If each is right, two
            fleets share the job: give each its own.""",
        ),
        Case(
            "just below",
            "a rollout to three of them takes nine minutes",
            shard(1, "2x5 3x30") | shard(2, "2x13 3x30") | shard(3, "_x5 3x30"),
            14,
        ),
        Case("silent", "all have the same number", shard(1) | shard(2) | shard(3), 20),
        Case(
            "restart",
            "a pod of the new number replaces one of the former",
            shard(1, "2x5 stale", pod="old", of=2)
            | shard(2, "2x5 stale", pod="old", of=2)
            | shard(1, "_x8 3x30", pod="new")
            | shard(2, "_x8 3x30", pod="new")
            | shard(3, "_x8 3x30", pod="new"),
            25,
        ),
        Case(
            "several processes",
            "those of another job are divided otherwise",
            shard(1, of=1) | shard(1, of=2, job="other") | shard(2, of=2, job="other"),
            20,
        ),
        Case("missing data", "nothing is divided", BUILD, 20),
    ],
    "PgPoolExporterReloadFailed": [
        Case(
            "fires",
            "for a minute",
            series("pg_pool_exporter_config_last_reload_successful", "1x5 0x10"),
            7,
            [TARGET],
            """The last reload on db:10432 failed. First run pg-pool-exporter check-config with its
            file; it names every mistake.""",
        ),
        Case(
            "just below",
            "the next one works",
            series("pg_pool_exporter_config_last_reload_successful", "1x5 0 1x10"),
            7,
        ),
        Case(
            "restart",
            "it begins anew with a good configuration",
            series("pg_pool_exporter_config_last_reload_successful", "0x5 _ 1x20"),
            10,
        ),
        Case(
            "missing data",
            "the exporter is gone",
            series("pg_pool_exporter_config_last_reload_successful", "0x5 stale"),
            15,
        ),
    ],
    "PgPoolExporterImpaired": [
        Case(
            "fires",
            "a list for five minutes",
            discovered("1x5 0x20"),
            12,
            [{**TARGET, **LIST}],
            """The target list /etc/orders.json of orders on db:10432 can't be used; its former
            targets stay. First look at the exporter's page: it names what and why.""",
        ),
        Case(
            "fires",
            "the web configuration",
            series("pg_pool_exporter_web_config_last_reload_successful", "0x20"),
            7,
            [TARGET],
        ),
        Case(
            "fires",
            "the socket directory",
            series("pg_pool_exporter_socket_directory_up", "0x20"),
            7,
            [TARGET],
        ),
        Case("just below", "a list recovers after four minutes", discovered("0x4 1x20"), 12),
        Case("restart", "it begins anew", discovered("0x3 _ 1x20"), 12),
        Case("missing data", "the list is configured no more", discovered("0x3 stale"), 12),
    ],
    "PgPoolLogStateNotSaved": [
        Case(
            "fires",
            "for ten minutes",
            state_saved("1x5 0x20"),
            17,
            [{**TARGET, **LOG}],
            """Position and counts of the log of main have not been saved for 10 minutes. First look
            whether the state directory on db:10432 is writable and its disk has room.""",
        ),
        Case("just below", "for eight minutes", state_saved("1x5 0x7 1x20"), 17),
        Case("restart", "it is saved then", state_saved("0x8 _ 1x20"), 17),
        Case("missing data", "there is no state directory", state_saved("0x3 stale"), 17),
    ],
    "PgPoolAnalysisFailed": [
        Case(
            "fires",
            "one has failed",
            failures("0x5 1x20"),
            8,
            [{**TARGET, "analysis": "leak"}],
            """The analysis leak on db:10432 has failed in the last 10 minutes: what it would find
            is unknown. First look for "analysis failed" in the exporter's log, and report its
            stack.""",
        ),
        Case("just below", "none has", failures("3x30"), 15),
        Case("silent", "it was long ago", failures("0x2 1x30"), 20),
        Case("restart", "the count begins anew", failures("3x5 0x20"), 8),
        Case("missing data", "the exporter is gone", failures("1x5 stale"), 15),
    ],
    "PgPoolAnalysisStale": [
        Case(
            "fires",
            "polls go on, the analysis has stood still since minute 5",
            polled("0+60x30") | analysed("0+60x5 300x25"),
            10,
            [TARGET],
            """The last analysis on db:10432 is 5m 0s older than its last poll: no finding appears
            or goes. First look at the exporter's log and CPU time, then restart it.""",
        ),
        Case("just below", "two minutes behind", polled("120+60x30") | analysed("0+60x30"), 15),
        Case("silent", "nothing can be polled", polled("300x30") | analysed("300+60x30"), 15),
        Case(
            "silent",
            "the exporter's clock is behind that of Prometheus",
            polled("-9000+60x30") | analysed("-9000+60x30"),
            15,
        ),
        Case(
            "restart",
            "it begins anew",
            polled("0+60x30") | analysed("0+60x5 300x2 _ 540+60x20"),
            12,
        ),
        Case("missing data", "an older exporter", polled("0+60x30"), 15),
    ],
}

HORIZON = "pg_pool_exporter:threshold:pool_prediction_horizon_seconds"
REACH = {"pg_pool_exporter:estimate:reach_seconds": "3600x20"}
# These run without settings.yml.
WITHOUT_SETTINGS = {
    "PgPoolSettingsMissing": [
        Case(
            "fires",
            "no threshold is loaded",
            {LINKS: "1x20"},
            5,
            [{}],
            """Prometheus has no pg_pool_exporter:threshold series. First look whether settings.yml
            is loaded beside the other rule files.""",
        ),
        Case(
            "just below",
            "they are there after four minutes",
            {"pg_pool_exporter:threshold:pool_use_ratio": "_x4 0.8x20"},
            7,
        ),
        Case(
            "restart",
            "Prometheus begins anew, and evaluates them first",
            {"pg_pool_exporter:threshold:pool_use_ratio": "0.8x5 _x1 0.8x20"},
            12,
        ),
        Case(
            "missing data",
            "only an exception is loaded",
            {LINKS: "1x20", 'pg_pool_exporter:threshold:pool_use_ratio{app="jobs"}': "0.9x20"},
            5,
            [{}],
        ),
    ],
    "PgPoolSettingWithoutEffect": [
        Case(
            "fires",
            "two hours",
            {LINKS: "1x20", HORIZON: "7200x20", **REACH},
            6,
            [{}],
            """pool_prediction_horizon_seconds is 7200 in settings.yml, and no estimate looks
            further ahead than 3600. First set it to 3600 or less, and reload Prometheus.""",
        ),
        Case("just below", "an hour", {HORIZON: "3600x20", **REACH}, 12),
        Case("restart", "it is corrected", {HORIZON: "7200x4 _x1 3600x20", **REACH}, 12),
        Case("missing data", "it is not loaded", {LINKS: "1x20"}, 12),
    ],
}
