"""Open transactions of leaked connections: their number and their locks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pg_pool_exporter.analysis.correlate.sessions import IN_TRANSACTION
from pg_pool_exporter.analysis.findings.finding import Sign
from pg_pool_exporter.analysis.findings.remedies import OPEN_TRANSACTION
from pg_pool_exporter.analysis.findings.wording import number, spell
from pg_pool_exporter.analysis.records.app_view import AppView


def figure(app: AppView | None) -> Mapping[str, float]:
    """How many sessions of the application are idle in transaction for the leak threshold; empty
    without one.
    """
    count = _count(app)
    return {"idle_in_transaction_sessions": count} if count else {}


def signs(app: AppView | None) -> frozenset[Sign]:
    """`OPEN_TRANSACTION` where a session is idle in transaction for the leak threshold."""
    return frozenset({Sign.OPEN_TRANSACTION} if _count(app) else ())


def remedy(app: AppView | None) -> str:
    """The remedy besides that of the leak; empty without one."""
    return OPEN_TRANSACTION if _count(app) else ""


def evidence(app: AppView | None) -> Iterator[str]:
    """Their number, age, locks and snapshots."""
    count = _count(app)
    if app is None or app.sessions is None or not count:
        return
    sessions = app.sessions
    began = spell(sessions.oldest_transaction or sessions.oldest(*IN_TRANSACTION) or 0.0)
    yield (
        f"{number(count, 'session', 'sessions')} of {app.key.app} on {app.key.title} kept "
        f"a transaction open and did nothing in it for longer than {spell(app.leak_after)}; the "
        f"oldest transaction began {began} ago."
    )
    if sessions.writers:
        changed = number(sessions.writers, "transaction has", "transactions have")
        yield f"{changed} changed data and not committed: the locks on these rows stay."
    if sessions.oldest_snapshot is not None:
        ago = number(sessions.oldest_snapshot, "transaction", "transactions")
        yield f"The oldest snapshot is {ago} old: VACUUM keeps what was deleted since."
    if sessions.blocking:
        block = number(sessions.blocking, "session blocks", "sessions block")
        yield f"{block} others that wait for a lock."


def _count(app: AppView | None) -> int:
    if app is None or app.sessions is None:
        return 0
    return app.sessions.count(*IN_TRANSACTION, longer_than=app.leak_after)
