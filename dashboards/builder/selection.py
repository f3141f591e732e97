"""Selectors of series, made from the catalogue, and the variables that narrow them."""

from __future__ import annotations

import re

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.common import DataSourceRef

from pg_pool_exporter.metrics import catalogue as c
from pg_pool_exporter.metrics.catalogue import Metric

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
_WORD = r"\w+"
# What a user's Prometheus adds to all series of an environment, and what it adds to each target.
ENVIRONMENT = ("cluster", "env")
_SCRAPED = (*ENVIRONMENT, "job", "instance")
_LABELS = {"env": "Environment"}
# A pool's `server` is a label of pg_pool_info only, and often absent there.
_NARROWED = {
    "pool": ("app", "pool"),
    "server": ("server",),
    "joined": ("app", "pool", "server"),
    "bouncer": ("bouncer",),
}
# Each of these is on every page of the exporter, or of an application that Prometheus scrapes.
_ALWAYS = (c.POOL_CONNECTIONS, c.SERVER_UP, c.BOUNCER_UP, c.BUILD_INFO)


def select(metric: Metric, suffix: str = "", **labels: str) -> str:
    """The series of `metric` that `labels` and the dashboard's other variables leave.

    A value of `labels` is a word or a regular expression. `suffix` is a histogram's, like
    `_bucket`. Raises `ValueError` for a label that the metric doesn't have.
    """
    if unknown := labels.keys() - set(metric.labels):
        raise ValueError(f"{metric.name} has no {', '.join(unknown)}")
    narrowed = [name for name in _NARROWED.get(metric.section, ()) if name in metric.labels]
    chosen = matchers(*(name for name in (*_SCRAPED, *narrowed) if name not in labels))
    given = [
        f'{name}{"=" if re.fullmatch(_WORD, value) else "=~"}"{value}"'
        for name, value in labels.items()
    ]
    return f"{metric.name}{suffix}{{{', '.join([chosen, *given])}}}"


def process(metric: str) -> str:
    """The series of a metric of the exporter's own process, or of its scrape."""
    return f"{metric}{{{matchers(*_SCRAPED)}}}"


def matchers(*names: str) -> str:
    """Labels that have one of the selected values."""
    return ", ".join(f'{name}=~"${name}"' for name in names)


def variables(*shown: str) -> list[builders.DatasourceVariable | builders.QueryVariable]:
    """All variables, so that links between dashboards lose none; only those `shown` are seen."""
    any_metric = f'{{__name__=~"{"|".join(metric.name for metric in _ALWAYS)}"'
    environment = matchers(*ENVIRONMENT)
    scraped = matchers(*_SCRAPED)
    queries = {
        "cluster": f"{any_metric}}}",
        "env": f"{any_metric}, {matchers('cluster')}}}",
        "job": f"{any_metric}, {environment}}}",
        "instance": f"{any_metric}, {environment}, {matchers('job')}}}",
        "app": f"{c.POOL_CONNECTIONS.name}{{{scraped}}}",
        "pool": f'{c.POOL_CONNECTIONS.name}{{{scraped}, app=~"$app"}}',
        "server": f"{c.SERVER_UP.name}{{{scraped}}}",
        "bouncer": f"{c.BOUNCER_UP.name}{{{scraped}}}",
    }
    source = builders.DatasourceVariable("datasource").label("Data source").type("prometheus")
    return [source, *(_variable(name, query, name in shown) for name, query in queries.items())]


def _variable(name: str, series: str, shown: bool) -> builders.QueryVariable:
    hide = models.VariableHide.DONT_HIDE if shown else models.VariableHide.HIDE_VARIABLE
    return (
        builders.QueryVariable(name)
        .label(_LABELS.get(name, name.capitalize()))
        .hide(hide)
        .datasource(SOURCE)
        .query(f"label_values({series}, {name})")
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.NATURAL_ASC)
        .multi(True)
        .include_all(True)
        # Not the list of all values: a series without the label is among "all", too.
        .all_value(".*")
        .current(models.VariableOption(selected=True, text="All", value="$__all"))
    )
