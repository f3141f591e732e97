"""What both sides tell of an application whose pools on a server can't be told apart."""

from __future__ import annotations

from collections.abc import Iterator

from pg_pool_exporter.findings.finding import Cause, Finding, Severity, Subject
from pg_pool_exporter.findings.remedies import remedy
from pg_pool_exporter.findings.situation import App
from pg_pool_exporter.findings.wording import biggest, number, spell


def of_app(app: App, client: str) -> Iterator[Finding]:
    """The findings about one application on one server, if it has several pools there.

    With a single pool there, it is the pool's finding.
    """
    if app.pools > 1 and app.unreturned:
        held = number(app.unreturned, "connection is", "connections are")
        yield Finding(
            cause=Cause.LEAK,
            severity=Severity.PROBLEM,
            subject=Subject(app=app.app, server=app.server),
            summary=f"{held} borrowed and not given back.",
            figures={"unreturned_connections": app.unreturned},
            evidence=(
                (
                    f"Server {app.server} saw so many do nothing for {spell(app.leak_after)}; at "
                    "each reading in that time they were checked out."
                ),
                *((f"Their sessions come from {biggest(app.held_at)}.",) if app.held_at else ()),
                f"It is one or several of its {app.pools} pools on this server.",
            ),
            remedy=remedy(Cause.LEAK, client),
        )
