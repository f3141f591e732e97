"""Clients of a bouncer: near a limit, or connecting for each request."""

from __future__ import annotations

from collections.abc import Container, Iterator

from pg_pool_exporter.aggregate import summed
from pg_pool_exporter.analysis.findings.finding import Cause, Finding, Severity, Subject
from pg_pool_exporter.analysis.findings.remedies import remedy
from pg_pool_exporter.analysis.findings.wording import biggest
from pg_pool_exporter.analysis.records.bouncer_view import BouncerView

_MOST_OF = 0.5
"""Logins by transaction at which applications connect for each of them."""


def too_many_clients(bouncer: BouncerView) -> Iterator[Finding]:
    """Limits of clients that are nearly reached: beyond them clients are refused."""
    sample = bouncer.sample
    target = bouncer.subject.target
    limits = [
        (bouncer.subject, "max_client_conn", sample.clients, sample.max_clients),
        *(
            (Subject(target=target, database=name), "max_db_client_connections",
             one.clients, one.max_clients)
            for name, one in sample.databases.items()
        ),
        *(
            (Subject(target=target, user=name), "max_user_client_connections",
             one.clients, one.max_clients)
            for name, one in sample.users.items()
        ),
    ]  # fmt: skip
    for subject, setting, clients, most in limits:
        if clients is None or not most or clients / most <= bouncer.thresholds.server_utilisation:
            continue
        is_full = clients / most > bouncer.thresholds.server_full
        yield Finding(
            cause=Cause.BOUNCER_TOO_MANY_CLIENTS,
            severity=Severity.PROBLEM if is_full else Severity.WARNING,
            subject=subject,
            summary=f"{clients:g} of {most:g} clients are connected: beyond, they are refused.",
            amount=clients,
            figures={"clients": clients, "max_clients": most, "utilisation_ratio": clients / most},
            evidence=tuple(_whose_clients(bouncer, subject)),
            remedy=(
                f"{remedy(Cause.BOUNCER_TOO_MANY_CLIENTS)} The limit is `{setting}`: on the "
                f"console `SET {setting} = …`, and the same in pgbouncer.ini; where the database "
                "or user has its own, there, then `RELOAD`."
            ),
        )


def _whose_clients(bouncer: BouncerView, subject: Subject) -> Iterator[str]:
    counts = summed(
        (origin.application, sum(group.counts.values()))
        for pool in bouncer.pools
        if subject.database in ("", pool.key.database) and subject.user in ("", pool.key.user)
        for origin, group in pool.sample.origins.items()
    )
    if counts:
        yield f"Most are of {biggest(counts)}."


def too_many_logins(bouncer: BouncerView, *, but: Container[str] = ()) -> Iterator[Finding]:
    """Applications that connect for each request. Of the databases `but` clients get no connection
    to the server: there they log in again and again for that reason.
    """
    for name, database in bouncer.sample.databases.items():
        logins, transactions = database.login_rate, database.transaction_rate
        if name in but or logins is None or transactions is None:
            continue
        if logins < bouncer.thresholds.bouncer_logins or logins < _MOST_OF * transactions:
            continue
        yield Finding(
            cause=Cause.BOUNCER_LOGINS,
            severity=Severity.WARNING,
            subject=Subject(target=bouncer.subject.target, database=name),
            summary=(
                f"Clients log in {logins:.0f} times a second, for {transactions:.0f} transactions "
                "a second: nearly each has a connection of its own."
            ),
            amount=round(logins),
            figures={"logins_per_second": logins, "transactions_per_second": transactions},
            remedy=remedy(Cause.BOUNCER_LOGINS),
        )
