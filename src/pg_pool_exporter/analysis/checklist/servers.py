"""How the servers are set up: timeouts that are missing, and slots."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pg_pool_exporter.analysis.checklist.check import (
    Check,
    findings_of,
    no_server,
    of_findings,
    unknown,
)
from pg_pool_exporter.analysis.findings.finding import Cause, Verdict
from pg_pool_exporter.analysis.findings.recommended import IDLE_IN_TRANSACTION_TIMEOUT, setting
from pg_pool_exporter.analysis.findings.wording import few, number
from pg_pool_exporter.analysis.records.server_view import ServerView
from pg_pool_exporter.analysis.verdicts.judge import Judged

_OFF = 0.0


def settings(judged: Judged) -> Check:
    """Timeouts that are off on a server and should not be."""
    known = [
        (server, server.sample.settings.timeouts[IDLE_IN_TRANSACTION_TIMEOUT])
        for server in judged.fleet.servers
        if IDLE_IN_TRANSACTION_TIMEOUT in server.sample.settings.timeouts
    ]
    if not known:
        return unknown("settings", f"{no_server(judged)}, or its timeouts can't be read")
    missing = [server for server, seconds in known if seconds == _OFF]
    return Check(
        name="settings",
        verdict=Verdict.WARNING if missing else Verdict.FINE,
        figure=f"{len(missing)} missing" if missing else "none missing",
        evidence=few(map(_missing, missing)),
        remedy=(f"{setting(IDLE_IN_TRANSACTION_TIMEOUT)} for the roles of your applications.",)
        if missing
        else (),
    )


def _missing(server: ServerView) -> str:
    own = sum(
        override.setting == IDLE_IN_TRANSACTION_TIMEOUT and seconds != _OFF
        for override, seconds in server.sample.settings.overrides.items()
    )
    exceptions = f"; {number(own, 'database or role has', 'databases or roles have')} its own"
    return (
        f"server {server.name}: {IDLE_IN_TRANSACTION_TIMEOUT} is off, so a session can stay idle "
        f"in transaction forever{exceptions if own else ''}"
    )


def demand_and_supply(judged: Judged) -> Check:
    """Slots in use, and how many connections the pools may open."""
    servers = judged.fleet.servers
    findings = findings_of(
        judged,
        Cause.SERVER_OVERSUBSCRIBED,
        Cause.SERVER_FULL,
        Cause.CONNECTION_LIMIT,
        Cause.BOUNCER_LIMITS_OVERSUBSCRIBED,
    )
    if not servers and not findings:
        return unknown("demand_and_supply", no_server(judged))
    lines = (
        f"{server.name}: {server.sample.used} of {server.available} slots in use"
        + (f", pools may open {server.pools_max:g}" if server.pools_max is not None else "")
        for server in servers
    )
    point = of_findings("demand_and_supply", "; ".join(few(lines)), findings)
    return replace(point, evidence=(*point.evidence, *few(_sufficient_limits(judged))))


def _sufficient_limits(judged: Judged) -> Iterator[str]:
    for name, links in judged.fleet.limits.items():
        for link in sorted(links, key=lambda one: one.reached_at):
            if not link.is_short:  # the finding names the others
                yield f"behind bouncer {name}: {link}"
