"""What all dashboards share: variables, links between them, annotations, how they refresh."""

from __future__ import annotations

from collections.abc import Iterable

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import prometheus
from grafana_foundation_sdk.models import dashboard as models

from dashboards.builder.panels import Panel
from dashboards.builder.selection import SOURCE, variables

TAG = "pg-pool-exporter"
ALERTS = 'alertname=~"Pg.+", app=~"$app|", pool=~"$pool|", server=~"$server|"'
"""Matchers of our alerts; those that lack a label are among them."""
ALERTS_OF_POOLS = f'{ALERTS}, bouncer="", target=""'
"""Of pools and of the servers beneath them only."""
_KEPT = (
    "${__url_time_range}&${datasource:queryparam}&${job:queryparam}&${instance:queryparam}"
    "&${bouncer:queryparam}"
)


def page(
    uid: str, title: str, description: str, *, shown: Iterable[str], alerts: str = ALERTS
) -> builders.Dashboard:
    """A dashboard without panels.

    It shows the variables `shown`, besides what is on all, and marks the `alerts` when they fire.
    """
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
        .annotation(_firing(alerts))
        .link(
            builders.DashboardLink("PostgreSQL pools")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .include_vars(True)
            .keep_time(True)
        )
    )
    for variable in variables("job", "instance", *shown):
        made = made.with_variable(variable)
    return made


def fill(made: builders.Dashboard, *panels: Panel | str) -> builders.Dashboard:
    """Put `panels` from left to right and from top to bottom; a text begins a titled row."""
    for number, panel in enumerate(panels, 1):
        if isinstance(panel, str):
            made = made.with_row(builders.Row(panel).id(number))
        else:
            made = made.with_panel(panel.id(number))
    return made


def to_pool(app: str, pool: str) -> str:
    """The address of the Pool dashboard for these values."""
    return f"/d/pgpe-pool?{_KEPT}&${{server:queryparam}}&var-app={app}&var-pool={pool}"


def to_server(server: str) -> str:
    """The address of the Server dashboard for this one."""
    return f"/d/pgpe-server?{_KEPT}&${{app:queryparam}}&${{pool:queryparam}}&var-server={server}"


def _firing(alerts: str) -> builders.AnnotationQuery:
    firing = (
        f'max by (alertname, severity, app, pool, server) (ALERTS{{alertstate="firing", {alerts}}})'
    )
    return (
        builders.AnnotationQuery()
        .name("Firing alerts")
        .datasource(SOURCE)
        .enable(True)
        .icon_color("red")
        .expr(firing)
        .target(prometheus.Dataquery().ref_id("Anno").expr(firing).range())
        .title_format("{{alertname}}")
        .text_format("{{app}} {{pool}} {{server}}")
        .tag_keys("severity")
    )
