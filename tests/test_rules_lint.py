"""What must hold of every rule, without a Prometheus."""

from __future__ import annotations

import re
from pathlib import Path

import promql_parser
import pytest
import yaml

from pg_pool_exporter.metrics.catalogue import BY_NAME
from support.dashboards import NAMES, load
from support.promql import check, nodes, numbers, parts
from support.promtool import DASHBOARDS, RUNBOOKS, where_links_begin
from support.rule_files import (
    ALERTS,
    DIRECTORY,
    GROUPS,
    RECORDS,
    ROOT,
    SETTINGS,
    Alert,
    Record,
    generator,
)

UIDS = {load(name)["uid"] for name in NAMES}
SEVERITIES = {"info", "warning", "critical"}
BY_FINDING = generator("findings").BY_FINDING
THRESHOLD = "pg_pool_exporter:threshold:"
# Fires at once: nothing is compared that comes from two scrapes.
AT_ONCE = {"PgPoolLeak", "PgPoolConnectionLeaked", "PgServerConnectionsRefused"}

Rule = Alert | Record

every_alert = pytest.mark.parametrize("alert", ALERTS.values(), ids=lambda alert: alert.name)
every_rule = pytest.mark.parametrize(
    "rule", [*ALERTS.values(), *RECORDS], ids=lambda rule: rule.name
)
every_record = pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)


@every_alert
def test_an_alert_can_fire(alert: Alert) -> None:
    assert check(alert.expression).problems == []


@every_record
def test_a_recorded_series_can_have_values(record: Record) -> None:
    assert check(record.expression).problems == []


@every_record
def test_a_recorded_series_is_named_by_level_metric_and_operation(record: Record) -> None:
    assert re.fullmatch(r"[a-z_]+:[a-z_]+:[a-z0-9_]+", record.name)


@every_alert
def test_an_alert_prints_labels_that_it_has(alert: Alert) -> None:
    labels = (check(alert.expression).labels or frozenset()) | alert.labels.keys()
    text = " ".join(alert.annotations.values())
    assert set(re.findall(r"\$labels\.(\w+)", text)) <= labels


@every_alert
def test_an_alert_has_a_name_and_labels_as_agreed(alert: Alert) -> None:
    assert re.fullmatch(r"Pg(Pool|Server|Bouncer)([A-Z][a-z]+)+", alert.name)
    assert len(alert.name) <= 40
    assert alert.labels["severity"] in {*SEVERITIES, BY_FINDING}
    assert alert.labels.keys() <= {"severity", "cause"}


@every_alert
def test_an_alert_tells_what_is_wrong_and_what_to_do(alert: Alert) -> None:
    assert alert.annotations.keys() == {"summary", "description", "runbook_url", "dashboard"}
    summary, description = alert.annotations["summary"], alert.annotations["description"]
    assert re.fullmatch(r"[A-Z][^{}]*[^.{}]\.", summary), "one static sentence"
    assert not re.search(r"\d", summary), "a threshold that is changed would make it wrong"
    assert "First " in description
    labels = check(alert.expression).labels or frozenset()
    named = set(re.findall(r"\$labels\.(\w+)", description))
    if "pg_pool_finding" in alert.expression:  # which has them all, most of them empty
        assert named & {"app", "server", "bouncer", "target"}
    else:
        assert {"app", "pool", "process", "server", "bouncer", "site"} & labels <= named
    # A number in front of a word in the plural is wrong for 1.
    assert not re.search(r"\$value[^}]*\}\} [a-z]+s\b", description)


@every_alert
def test_an_alert_has_links_that_lead_somewhere(alert: Alert) -> None:
    assert alert.annotations["runbook_url"] == f"{where_links_begin('runbooks')}/{alert.name}.md"
    assert (ROOT / f"docs/runbooks/{alert.name}.md").is_file()
    dashboard = alert.annotations["dashboard"].removeprefix(where_links_begin("dashboards"))
    dashboard = dashboard.removesuffix("{{ with $labels.pool }}&var-pool={{ urlquery . }}{{ end }}")
    found = re.fullmatch(r"/d/([\w-]+)(?:\?(.*))?", dashboard)
    assert found is not None
    assert found[1] in UIDS
    for parameter in (found[2] or "").split("&"):
        assert re.fullmatch(r"|var-(\w+)=\{\{ urlquery \$labels\.\1 \}\}", parameter)


@every_alert
def test_the_evidence_in_a_text_can_be_found(alert: Alert) -> None:
    queries = re.findall(r"printf `([^`]*)`", alert.annotations["description"])
    for query in queries:
        expression = query.replace("%q", '"a"').replace("%s", "")
        assert "__name__" in expression or check(expression).problems == []


@every_alert
def test_an_alert_waits_for_a_scrape_where_it_compares(alert: Alert) -> None:
    assert bool(alert.waits) == (alert.name not in AT_ONCE)


@every_alert
def test_thresholds_stand_in_the_settings(alert: Alert) -> None:
    """A number in an expression is one that nobody can find."""
    quantiles = {0.99}
    assert numbers(alert.expression) <= {0, 1} | quantiles


def test_every_threshold_is_a_number_that_an_alert_uses() -> None:
    used = " ".join(alert.expression for alert in ALERTS.values())
    for record in RECORDS:
        if record.name.startswith(THRESHOLD):
            assert record.file == SETTINGS
            assert record.name in used
            float(record.expression)


def test_thresholds_that_may_have_exceptions_are_read_with_and_without() -> None:
    """Read without a word on `app`, an exception would be a second value, and the alert fail."""
    text = SETTINGS.read_text()
    pattern = r"Exceptions by app\.\n *- record: (\S+)"
    excepted = set(re.findall(pattern, text))
    assert len(excepted) == text.count("Exceptions by app.")
    for alert in ALERTS.values():
        for node in nodes(alert.expression):
            if isinstance(node, promql_parser.VectorSelector) and node.name in excepted:
                assert [matcher.name for matcher in node.matchers.matchers] == ["app"], alert.name


@every_alert
def test_a_trend_never_fires_alone(alert: Alert) -> None:
    """Of a pool that is hardly used a trend says nothing."""
    if "time_to_saturation" in alert.expression:
        assert "floor" in alert.expression


@every_rule
def test_labels_that_users_add_survive(rule: Rule) -> None:
    """So `without`; and the mean of a ratio over several pools is nobody's ratio."""
    for node in nodes(rule.expression):
        if isinstance(node, promql_parser.AggregateExpr) and not _is_of_settings(node):
            assert node.modifier is not None
            assert node.modifier.type == promql_parser.AggModifierType.Without
    assert not re.search(r"avg[^(]*\([^)]*:ratio", rule.expression)


@every_rule
def test_data_of_one_environment_are_never_joined_with_those_of_another(rule: Rule) -> None:
    """`on` leaves out the labels that a user adds, such as `cluster`: data are joined by all labels
    but those that `ignoring` names. What is set for all has none of them.
    """
    for node in nodes(rule.expression):
        if isinstance(node, promql_parser.BinaryExpr) and _is_on(node):
            assert _is_of_settings(node.rhs), node.prettify()


@every_rule
def test_settings_may_be_there_more_than_once(rule: Rule) -> None:
    """From several environments in one store: no comparison with one of them fails."""
    for node in nodes(rule.expression):
        match node:
            case promql_parser.Call(func=function, args=[value]) if function.name == "scalar":
                assert isinstance(value, promql_parser.AggregateExpr)
            case promql_parser.BinaryExpr(rhs=right) if _is_of_settings(right):
                is_joined = node.modifier and (
                    node.modifier.card == promql_parser.VectorMatchCardinality.ManyToOne
                )
                assert not is_joined or isinstance(right, promql_parser.AggregateExpr)


def _is_on(node: promql_parser.BinaryExpr) -> bool:
    matching = node.modifier.matching if node.modifier else None
    return matching is not None and matching.type == promql_parser.LabelModifierType.Include


def _is_of_settings(node: promql_parser.Expr) -> bool:
    """Whether `node` reads what is set for all environments, or asks whether there is anything."""
    if isinstance(node, promql_parser.Call) and node.func.name == "absent":
        return True
    named = [one.name or "" for one in parts(node) if isinstance(one, promql_parser.VectorSelector)]
    return all(name.startswith("pg_pool_exporter:") for name in named)


def test_groups_have_names_of_their_own_and_nothing_that_old_versions_refuse() -> None:
    names = [group["name"] for _, group in GROUPS]
    assert len(names) == len(set(names))
    for _, group in GROUPS:
        assert group.keys() == {"name", "rules"}


def test_links_of_the_settings_are_placeholders_in_one_place() -> None:
    (links,) = (record for record in RECORDS if record.name == "pg_pool_exporter:links:info")
    assert links.labels == {"runbooks": RUNBOOKS, "dashboards": DASHBOARDS}


def test_every_runbook_belongs_to_an_alert() -> None:
    pages = {path.stem for path in (ROOT / "docs/runbooks").glob("Pg*.md")}
    assert pages == ALERTS.keys()


@pytest.mark.parametrize("path", sorted((DIRECTORY / "mapped").iterdir()), ids=lambda one: one.stem)
def test_mapped_rules_record_series_of_the_catalogue_and_join_by_all_labels(path: Path) -> None:
    for group in yaml.safe_load(path.read_text())["groups"]:
        for rule in group["rules"]:
            assert not any(
                _is_on(node)
                for node in nodes(rule["expr"])
                if isinstance(node, promql_parser.BinaryExpr)
            )
            assert rule.get("labels", {}).keys() <= set(BY_NAME[rule["record"]].labels)
