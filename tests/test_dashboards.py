"""The committed dashboards: what must hold of each without a server."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
from typing import Any

import jsonschema
import promql_parser
import pytest

from conftest import require
from dashboards.builder.all import documents
from pg_pool_exporter.config import Thresholds
from support.dashboards import (
    DIRECTORY,
    NAMES,
    VARIABLES,
    Question,
    load,
    panels,
    questions,
    variables,
)
from support.promql import ENVIRONMENT, KNOWN, check, nodes

ALL = pytest.mark.parametrize("name", NAMES)
EVERY_QUESTION = [question for name in NAMES for question in questions(name)]


def test_what_is_committed_is_what_the_builder_builds() -> None:
    """When this fails: `make dashboards`, and look at the difference."""
    committed = {path.stem: path.read_text() for path in DIRECTORY.glob("*.json")}
    assert committed == documents()


@pytest.fixture(scope="session")
def schema() -> Any:
    """Grafana's schema of dashboards, with the options of the panels that we use."""
    directory = DIRECTORY / "schema"
    require((directory / "node_modules").exists(), "npm ci --prefix dashboards/schema")
    made = subprocess.run(
        ["npm", "run", "--silent", "--prefix", directory, "schema"],
        cwd=directory, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(made.stdout)


@ALL
def test_a_dashboard_follows_the_schema_of_grafana(name: str, schema: Any) -> None:
    jsonschema.validate(load(name), schema)


@ALL
def test_the_schema_notices_a_mistake(name: str, schema: Any) -> None:
    dashboard = load(name)
    dashboard["panels"][0]["options"]["textMode"] = "loud"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(dashboard, schema)


@ALL
def test_a_dashboard_can_be_imported_and_provisioned_anywhere(name: str) -> None:
    dashboard = load(name)
    assert dashboard["uid"] == f"pgpe-{name}"
    assert dashboard["editable"] is False
    assert "__inputs" not in dashboard
    assert "id" not in dashboard
    assert {one["datasource"]["uid"] for one in panels(name) if "datasource" in one} == {
        "${datasource}"
    }


@ALL
def test_links_lose_no_variable(name: str) -> None:
    """A variable that one dashboard lacks would be gone after a visit there."""
    dashboard = load(name)
    found = [variable["name"] for variable in dashboard["templating"]["list"]]
    assert found == ["datasource", *VARIABLES]
    (link,) = dashboard["links"]
    assert (link["includeVars"], link["keepTime"]) == (True, True)
    assert link["tags"] == dashboard["tags"]
    uids = {load(other)["uid"] for other in NAMES}
    for url in re.findall(r'"url": "(/d/[^"]*)"', (DIRECTORY / f"{name}.json").read_text()):
        target = re.match(r"/d/([\w-]+)\?", url)
        assert target is not None
        assert target[1] in uids
        assert "${__url_time_range}" in url
        for variable in ("datasource", *VARIABLES):
            assert f"${{{variable}:queryparam}}" in url or f"var-{variable}=" in url


@ALL
def test_every_panel_says_what_it_shows_and_in_which_unit(name: str) -> None:
    titles = [panel["title"] for panel in panels(name)]
    assert len(titles) == len(set(titles))
    for panel in panels(name):
        assert panel["title"]
        assert len(panel["description"]) > 10, panel["title"]
        if panel["type"] != "text":
            assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]


# Panels that show what findings are judged by, and the thresholds that colour them or are drawn.
JUDGED = {
    "fleet": {
        "Pools, the worst first": {"pool_utilisation"},
        "Servers, the fullest first": {
            "server_utilisation", "server_full", "idle_in_transaction",
        },
        "Pools nearly saturated": {"pool_utilisation"},
        "Servers nearly full": {"server_utilisation"},
        "Utilisation of each pool": {"pool_utilisation"},
        "Slots used of each server": {"server_utilisation", "server_full"},
    },
    "pool": {
        "Utilisation": {"pool_utilisation"},
        "Utilisation by process": {"pool_utilisation"},
        "Mean use, bursts included": {"pool_utilisation"},
    },
    "bouncer": {
        "Longest wait": {"bouncer_wait"},
        "Clients": {"server_utilisation", "server_full"},
    },
    "server": {
        "Slots used": {"server_utilisation", "server_full"},
        "Idle in transaction for": {"idle_in_transaction"},
        "Transactions left open": {"idle_in_transaction"},
        "Limits of databases and roles": {"server_utilisation", "server_full"},
    },
}  # fmt: skip


@pytest.mark.parametrize("name", JUDGED)
def test_limits_are_those_that_findings_are_judged_by(name: str) -> None:
    found = {
        panel["title"]: set(re.findall(r'threshold="(\w+)"', str(panel.get("targets"))))
        for panel in panels(name)
    }
    assert found.items() >= JUDGED[name].items()
    assert set().union(*found.values()) <= Thresholds.model_fields.keys()


@ALL
def test_colours_between_two_queried_limits_have_both(name: str) -> None:
    """Grafana takes the minimum and the maximum of percentages from the data where it has none."""
    for panel in panels(name):
        fields = [
            panel["fieldConfig"]["defaults"],
            *({one["id"]: one["value"] for one in override["properties"]}
              for override in panel["fieldConfig"]["overrides"]),
        ] if "fieldConfig" in panel else []  # fmt: skip
        modes = [one["thresholds"]["mode"] for one in fields if "thresholds" in one]
        limits = [
            one["options"] for one in panel.get("transformations", [])
            if one["id"] == "configFromData"
        ]  # fmt: skip
        handlers = [mapping["handlerKey"] for one in limits for mapping in one["mappings"]]
        assert handlers == ["min", "max"] * (len(handlers) // 2), panel["title"]
        assert bool(handlers) == ("percentage" in modes), panel["title"]
        letters = {target["refId"] for target in panel.get("targets", [])}
        assert {one["configRefId"] for one in limits} <= letters, panel["title"]


@ALL
def test_limits_are_set_before_their_queries_become_rows(name: str) -> None:
    for panel in panels(name):
        order = [one["id"] for one in panel.get("transformations", [])]
        assert order == sorted(order, key=lambda one: one != "configFromData"), panel["title"]


@ALL
def test_no_panel_covers_another(name: str) -> None:
    ids = [panel["id"] for panel in load(name)["panels"]]
    assert len(ids) == len(set(ids))
    places = [panel["gridPos"] for panel in load(name)["panels"]]
    for place in places:
        assert 0 <= place["x"] < place["x"] + place["w"] <= 24
    for one, other in itertools.combinations(places, 2):
        apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert apart, (one, other)


@ALL
def test_a_table_ends_between_two_rows(name: str) -> None:
    """In pixels, as Grafana lays a table of small cells out: of a panel's height 8 are the gap to
    the next, 50 its frame and title, 28 the table's head, 36 each row.
    """
    for panel in panels(name):
        if panel["type"] == "table":
            left = (38 * panel["gridPos"]["h"] - 8 - 50 - 28) % 36
            assert left <= 8, panel["title"]


@ALL
def test_alerts_are_marked_where_they_tell_something_and_grouped(name: str) -> None:
    (annotation,) = load(name)["annotations"]["list"]
    marked = annotation["filter"]["ids"]
    graphs = [one["id"] for one in panels(name) if one["type"] == "timeseries"]
    assert annotation["filter"]["exclude"] is False
    assert 1 <= len(marked) <= 3
    assert set(marked) <= set(graphs)
    assert annotation["expr"].startswith("count by (severity) (ALERTS{")


@ALL
def test_one_screen_tells_the_story(name: str) -> None:
    """The panels that matter at night stand in the first 20 of a screen's rows."""
    top = {panel["title"] for panel in panels(name) if panel["gridPos"]["y"] < 20}
    expected: dict[str, set[str]] = {
        "fleet": {"Findings", "Pools, the worst first", "Firing alerts"},
        "pool": {
            "What is wrong", "Findings", "Since when", "Not returned, by line of checkout",
            "The same application, seen by the server", "What to do",
        },
        "server": {
            "Findings", "Who has them, the oldest state first",
            "Who waits for a lock, who holds it",
        },
        "bouncer": {"Findings", "Pools", "Clients waiting", "Utilisation of the pools"},
        "exporter": {"Targets, those down and the oldest data first", "Failed polls"},
    }  # fmt: skip
    assert expected[name] <= top


@pytest.mark.parametrize("question", EVERY_QUESTION, ids=lambda question: question.where)
def test_every_expression_can_have_an_answer(question: Question) -> None:
    """It parses; its metrics, labels and their values exist; its sides can match."""
    assert check(question.filled("1m")).problems == []


@ALL
def test_legends_and_columns_are_labels_that_are_there(name: str) -> None:
    for panel in panels(name):
        labels: set[str] = set()
        for target in panel.get("targets", []):
            expr = Question(panel["title"], target["expr"]).filled("1m")
            found = check(expr).labels or frozenset()
            labels |= found
            assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= found, panel["title"]
        for transformation in panel.get("transformations", []):
            if transformation["id"] == "organize":
                columns = transformation["options"]["indexByName"]
                values = {"Value", *(f"Value #{target['refId']}" for target in panel["targets"])}
                assert columns.keys() - values <= labels, panel["title"]


@pytest.mark.parametrize("question", EVERY_QUESTION, ids=lambda question: question.where)
def test_rates_are_taken_over_an_interval_that_fits_the_screen(question: Question) -> None:
    for window in re.findall(r"\brate\([^\[]*\[([^\]]*)\]", question.expr):
        assert window == "$__rate_interval"


@ALL
def test_every_selection_is_narrowed_by_the_variables(name: str) -> None:
    for question in questions(name):
        for selector in selectors(question):
            for label in sorted(ENVIRONMENT):
                if "links:info" not in selector:
                    assert f'{label}=~"${label}"' in selector, question.where
            if "scrape_duration" not in selector and "ALERTS" not in selector:
                assert 'job=~"$job"' in selector, question.where
    for label, question in variables(name):
        (selector,) = nodes(question.filled("1m"))
        assert isinstance(selector, promql_parser.VectorSelector)
        if selector.name:
            assert label in KNOWN[selector.name].labels | ENVIRONMENT


def selectors(question: Question) -> list[Any]:
    return re.findall(r"\w+{[^}]*}", question.expr)
