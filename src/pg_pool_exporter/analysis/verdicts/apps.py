"""What both sides tell of an application whose pools on a server can't be told apart."""

from __future__ import annotations

from collections.abc import Iterator

from pg_pool_exporter.analysis.finding import Cause, Finding, Severity, Subject
from pg_pool_exporter.analysis.fleet_view import App
from pg_pool_exporter.analysis.remedies import remedy
from pg_pool_exporter.analysis.wording import biggest, number, spell


def of_app(app: App, client: str, told: float) -> Iterator[Finding]:
    """The findings about one application that has several pools on a server.

    `told` are the connections that findings about single pools are about: only what is more than
    those is in whichever of them.
    """
    if (more := (app.unreturned or 0.0) - told) > 0:
        held = number(more, "connection is", "connections are")
        yield Finding(
            cause=Cause.LEAK,
            severity=Severity.PROBLEM,
            subject=Subject(app=app.app, server=app.server),
            summary=f"{held} borrowed and not given back.",
            figures={"unreturned_connections": more},
            evidence=(
                (
                    f"Server {app.server} saw {app.unreturned:g} do nothing for "
                    f"{spell(app.leak_after)}; at each reading in that time they were checked out."
                ),
                *((f"Their sessions come from {biggest(app.held_at)}.",) if app.held_at else ()),
                f"It is one or several of its {app.pools} pools on this server.",
            ),
            remedy=remedy(Cause.LEAK, client),
        )
