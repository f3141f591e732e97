"""The points about how the servers are set up: time-outs that are missing, and slots."""

from __future__ import annotations

from pg_pool_exporter.analysis.analyzer import Diagnosis
from pg_pool_exporter.analysis.checklist.check import (
    Check,
    Verdict,
    few,
    findings_of,
    judged,
    unknown,
)
from pg_pool_exporter.analysis.finding import Cause
from pg_pool_exporter.analysis.fleet_view import IDLE_IN_TRANSACTION_TIMEOUT, Server
from pg_pool_exporter.analysis.wording import number

_OFF = 0.0


def settings(diagnosis: Diagnosis) -> Check:
    servers = diagnosis.situation.servers
    known = [
        (server, server.sample.settings.timeouts[IDLE_IN_TRANSACTION_TIMEOUT])
        for server in servers
        if IDLE_IN_TRANSACTION_TIMEOUT in server.sample.settings.timeouts
    ]
    if not known:
        return unknown("settings", "no server, or its time-outs can't be read")
    missing = [server for server, seconds in known if seconds == _OFF]
    return Check(
        name="settings",
        verdict=Verdict.WARNING if missing else Verdict.FINE,
        figure=f"{len(missing)} missing" if missing else "none missing",
        evidence=few(map(_missing, missing)),
        remedy=(
            (
                f"ALTER ROLE … SET {IDLE_IN_TRANSACTION_TIMEOUT} = '5min' for the applications' "
                "roles, or for the whole server with ALTER SYSTEM."
            ),
        )
        if missing
        else (),
    )


def _missing(server: Server) -> str:
    own = sum(
        override.setting == IDLE_IN_TRANSACTION_TIMEOUT and seconds != _OFF
        for override, seconds in server.sample.settings.overrides.items()
    )
    exceptions = f"; {number(own, 'database or role has', 'databases or roles have')} its own"
    return (
        f"server {server.name}: {IDLE_IN_TRANSACTION_TIMEOUT} is off, so a forgotten transaction "
        f"stays for ever{exceptions if own else ''}"
    )


def demand_and_supply(diagnosis: Diagnosis) -> Check:
    servers = diagnosis.situation.servers
    findings = findings_of(diagnosis, Cause.SERVER_OVERSUBSCRIBED, Cause.SERVER_FULL)
    if not servers and not findings:
        return unknown("demand_and_supply", "no server")
    told = (
        f"{server.name}: {server.sample.used} of {server.available} slots taken"
        + (f", pools may ask for {server.demand:g}" if server.demand is not None else "")
        for server in servers
    )
    return judged("demand_and_supply", "; ".join(few(told)), findings)
