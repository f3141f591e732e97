"""What all dashboards share: variables, links between them, annotations, how they refresh."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from grafana_foundation_sdk.builders import dashboard as builders, prometheus
from grafana_foundation_sdk.models import dashboard as models

from dashboards.builder.panels import Panel
from dashboards.builder.selection import ENVIRONMENT, SOURCE, matchers, variables

TAG = "pg-pool-exporter"
_OURS = f'alertname=~"Pg.+", {matchers(*ENVIRONMENT)}'
ALERTS = f'{_OURS}, app=~"$app|", pool=~"$pool|", server=~"$server|"'
"""Matchers of our alerts; those that lack a label are among them."""
ALERTS_OF_POOLS = f'{ALERTS}, bouncer="", target=""'
"""Of pools and of the servers beneath them only."""
_KEPT = (
    "${__url_time_range}&${datasource:queryparam}&${cluster:queryparam}&${env:queryparam}"
    "&${job:queryparam}&${instance:queryparam}&${bouncer:queryparam}"
)


@dataclass(frozen=True, slots=True)
class Marks:
    """Which alerts are marked while they fire, and on which panels, by their titles.

    Few: a line for each alert on each panel would bury what they show.
    """

    alerts: str
    """Matchers."""
    panels: Collection[str]
    severity: str = "critical"


def marks_of(about: str, *panels: str) -> Marks:
    """Critical alerts about the selected values of the label `about`, as they are marked."""
    return Marks(f'{_OURS}, {about}=~"${about}", {about}!=""', panels)


def page(uid: str, title: str, description: str, *, shown: Iterable[str]) -> builders.Dashboard:
    """A dashboard without panels. It shows the variables `shown`, besides what is on all."""
    made = (
        builders.Dashboard(f"PostgreSQL pools / {title}")
        .uid(f"pgpe-{uid}")
        .description(description)
        .tags([TAG])
        .readonly()
        .timezone("browser")
        .time("now-1h", "now")
        .refresh("30s")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .link(
            builders.DashboardLink("PostgreSQL pools")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .include_vars(True)
            .keep_time(True)
        )
    )
    for variable in variables(*ENVIRONMENT, "job", "instance", *shown):
        made = made.with_variable(variable)
    return made


def fill(made: builders.Dashboard, marks: Marks, *panels: Panel | str) -> builders.Dashboard:
    """Put `panels` from left to right and from top to bottom; a text begins a titled row.

    Raises `ValueError` where a panel that is to be marked is missing.
    """
    ids = {}
    for number, panel in enumerate(panels, 1):
        if isinstance(panel, str):
            made = made.with_row(builders.Row(panel).id(number))
        else:
            made = made.with_panel(panel.id(number))
            ids[panel.build().title] = number
    if missing := set(marks.panels) - ids.keys():
        raise ValueError(f"no panel is called {', '.join(missing)}")
    return made.annotation(_firing(marks, [ids[title] for title in marks.panels]))


def to_pool(app: str, pool: str) -> str:
    """The address of the Pool dashboard for these values."""
    return f"/d/pgpe-pool?{_KEPT}&${{server:queryparam}}&var-app={app}&var-pool={pool}"


def to_server(server: str) -> str:
    """The address of the Server dashboard for this one."""
    return f"/d/pgpe-server?{_KEPT}&${{app:queryparam}}&${{pool:queryparam}}&var-server={server}"


def _firing(marks: Marks, panels: list[int]) -> builders.AnnotationQuery:
    """One region a severity, from the first alert to the last: tables have each of them."""
    matchers = f'alertstate="firing", severity=~"{marks.severity}", {marks.alerts}'
    firing = f"count by (severity) (ALERTS{{{matchers}}})"
    return (
        builders.AnnotationQuery()
        .name("Firing alerts")
        .datasource(SOURCE)
        .enable(True)
        .icon_color("red")
        .expr(firing)
        .target(prometheus.Dataquery().ref_id("Anno").expr(firing).range())
        .filter(builders.AnnotationPanelFilter().exclude(False).ids(panels))
        .title_format("{{severity}} alerts are firing")
        .text_format("Tables of alerts and findings name each.")
        .tag_keys("severity")
    )
