"""What is wrong with a pool: does it leak, is it too small, or are its holders slow?

The three look alike from the pool alone: all connections are out and requests wait. What tells them
apart is what the connections that are out do:

- A leaked one does nothing, for ever: its slot was lost by dropping, or both sides prove that it is
  out and silent, or it is overdue and neither a statement nor a transaction explains that.
- In a pool that is too small they come back soon: nearly all of it is turned over by checkouts that
  end, each short, and still requests wait.
- With slow holders it is turned over too, but by long checkouts.

Connections that wait for a lock, or hold a forgotten transaction, are the server's findings.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pg_pool_exporter.analysis.correlate.sessions import IN_TRANSACTION
from pg_pool_exporter.analysis.finding import Cause, Finding, Severity
from pg_pool_exporter.analysis.fleet_view import App, Pool, Process
from pg_pool_exporter.analysis.remedies import remedy
from pg_pool_exporter.analysis.wording import biggest, number, spell
from pg_pool_exporter.config import thresholds as limit


def of_pool(pool: Pool) -> Iterator[Finding]:
    """The findings about one pool."""
    if (leak := _leak(pool)) is not None:
        yield leak
    silent = _silent(pool)
    crowded = [each for each in pool.processes if _is_crowded(each, silent)]
    if crowded and (finding := _crowded(pool, crowded)) is not None:
        yield finding


class _Held(NamedTuple):
    """Connections of a pool that are not given back, by how that is known."""

    leaked: float
    """Slots lost by dropping."""
    overdue: float
    unexplained: float
    """Overdue ones that nothing explains."""
    proven: float
    """Checked out and silent, as both sides prove."""

    @property
    def kept(self) -> float:
        return max(self.unexplained, self.proven)

    @property
    def total(self) -> float:
        return self.leaked + self.kept

    @property
    def certain(self) -> bool:
        return bool(self.leaked or self.proven)


def _held(pool: Pool) -> _Held:
    overdue = pool.at_all_sites("overdue")
    return _Held(
        leaked=pool.at_all_sites("leaked_slots"),
        overdue=overdue,
        unexplained=_unexplained(pool, overdue),
        proven=_proven(pool),
    )


def _proven(pool: Pool) -> float:
    """Of one application's pools on a server the sessions can't be told apart: the others may hold
    as many of the silent ones as they have checked out.
    """
    if pool.on is None or not pool.on.unreturned:
        return 0.0
    own = pool.sum("active") - pool.at_all_sites("leaked_slots")
    return max(0.0, pool.on.unreturned - (pool.on.out - own))


def kept(pool: Pool) -> float:
    """Connections of a pool that are out and not given back, so that they still have a session."""
    return _held(pool).kept


def _leak(pool: Pool) -> Finding | None:
    held = _held(pool)
    if not held.total:
        return None
    count = number(held.total, "connection is", "connections are")
    use, left = pool.fullest.use, pool.seconds_to_saturation()
    full = "; the pool is full" if (use or 0.0) >= 1 else ""
    sites = pool.by_site("leaked_slots")
    if held.kept:
        for site, overdue in pool.by_site("overdue").items():
            sites[site] = sites.get(site, 0.0) + overdue
    return Finding(
        cause=Cause.LEAK,
        severity=Severity.PROBLEM if held.certain else Severity.WARNING,
        subject=pool.subject,
        summary=(
            f"{count} borrowed and not given back{full}."
            if held.certain
            else f"{count} out for long, and no statement and no transaction explains it{full}."
        ),
        figures={
            "leaked_slots": held.leaked,
            "overdue_connections": held.overdue,
            "unreturned_connections": held.proven,
            "held_connections": held.total,
            **({"use_ratio": use} if use is not None else {}),
            **({"seconds_to_saturation": left} if left is not None else {}),
        },
        evidence=tuple(_leak_evidence(pool, held, left)),
        remedy=remedy(Cause.LEAK, pool.client),
        sites=sites,
    )


def _leak_evidence(pool: Pool, held: _Held, left: float | None) -> Iterator[str]:
    """Sentences; `left` is the time to saturation."""
    if held.leaked:
        dropped = number(held.leaked, "connection was", "connections were")
        slots = "slot" if held.leaked == 1 else "slots"
        yield f"{dropped} dropped without being given back: the pool has lost the {slots} for good."
    if held.kept and held.overdue:
        overdue = number(held.overdue, "connection has", "connections have")
        yield f"{overdue} been checked out for longer than {spell(pool.leak_after)}."
    if pool.on is not None and held.proven:
        proven = number(held.proven, "connection that does", "connections that do")
        yield (
            f"Server {pool.on.server} has {proven} nothing since {spell(pool.on.leak_after)}, and "
            "at each reading in that time so many were checked out."
        )
        if pool.on.held_at and pool.on.pools == 1:
            yield f"Their sessions come from {biggest(pool.on.held_at)}."
    if held.kept and pool.on is not None and (gone_now := _gone(pool.on)):
        gone = number(gone_now, "connection has", "connections have")
        yield (
            f"{gone} no session on server {pool.on.server} any more. That somebody has ended the "
            "session does not give the slot back."
        )
    if left:
        yield f"By the trend of the last hour a pool is full in {spell(left)}."
    if failed := sum(one.failed for one in pool.recents):
        watched = max(one.seconds for one in pool.recents)
        yield (
            f"{number(failed, 'request', 'requests')} got no connection in the last "
            f"{spell(watched)}."
        )


def _unexplained(pool: Pool, overdue: float) -> float:
    """Overdue checkouts that neither a statement, nor a transaction, nor a lock explains.

    Where nobody looks at the sessions, all of them. Where somebody does, at most as many as are
    idle for that long, or have no session any more; at least as many as there are more of them than
    sessions that do something. What ended after the pool was read explains them still. A server
    that does not answer explains them all: its clients wait for it.
    """
    if not overdue or pool.on is None:
        return overdue
    sessions = pool.on.sessions
    if sessions is None or sessions.hidden:
        return 0.0 if sessions is None else overdue
    long = min(limit.LONG_STATEMENT, pool.leak_after / 2)
    busy = max(
        one.count("active", "fastpath_function_call", longer_than=long)
        + one.count(*IN_TRANSACTION, longer_than=pool.leak_after)
        for one in pool.on.lately
    )
    silent = sessions.count("idle", longer_than=pool.leak_after)
    explained = sessions.sessions - silent
    return max(0.0, overdue - explained, min(overdue - busy, silent + _gone(pool.on)))


def _gone(app: App) -> float:
    """Connections that its pools count and that have no session any more."""
    return max(app.gone, app.without_session)


def _silent(pool: Pool) -> int:
    """At most so many of the pool's connections were out and silent for the leak threshold."""
    if pool.on is None or pool.on.sessions is None:
        return 0
    return pool.on.sessions.count("idle", longer_than=pool.on.leak_after)


def _is_crowded(process: Process, silent: int) -> bool:
    """Whether requests wait, and nearly all of the pool is turned over by others that end.

    `silent` of its connections may be leaked.
    """
    recent, sample = process.recent, process.sample
    if recent is None or not sample.max:
        return False
    suffers = (recent.waiting or 0.0) >= limit.POOL_WAITING or recent.failed > 0
    if recent.turnover is None:
        # The page doesn't tell how long checkouts were: what is out at each moment has to do.
        active = process.trend.active[-5:]
        most = limit.POOL_USE * sample.max
        full = bool(active) and all(one >= most for one in active)
        full = full and (sample.active or 0.0) - silent >= most
        return suffers and full and not sample.leaked_slots and not sample.overdue
    return suffers and recent.turnover > limit.POOL_USE * sample.max


def _crowded(pool: Pool, crowded: list[Process]) -> Finding | None:
    worst = max(crowded, key=lambda each: (each.recent and each.recent.waiting) or 0.0)
    recent = worst.recent
    assert recent is not None
    slow = recent.hold is not None and recent.hold >= limit.SLOW_HOLD
    if recent.hold is None and pool.on is not None and pool.on.sessions is not None:
        longest = pool.on.sessions.oldest("active")
        slow = longest is not None and longest >= limit.LONG_STATEMENT
    if pool.on is not None and (pool.on.disturbed or (slow and pool.on.locked)):
        return None  # it is the server, or the lock, that they waited for
    cause = Cause.LONG_CHECKOUTS if slow else Cause.POOL_TOO_SMALL
    waiting = recent.waiting or 0.0
    evidence = [f"In the last {spell(recent.seconds)}, {waiting:.1f} requests waited on average."]
    if recent.hold is not None:
        evidence.append(f"A connection came back after {spell(recent.hold)} on average.")
    if recent.failed:
        evidence.append(f"{number(recent.failed, 'request', 'requests')} got no connection.")
    if len(crowded) < len(pool.processes):
        evidence.append(f"{len(crowded)} of {len(pool.processes)} processes are affected.")
    most = worst.sample.max or 0.0
    figures = {
        "waiting_requests": waiting,
        "failed_requests": recent.failed,
        "max_connections": most,
        **({"hold_seconds": recent.hold} if recent.hold is not None else {}),
        **({"turnover_ratio": recent.turnover / most} if recent.turnover is not None else {}),
    }
    return Finding(
        cause=cause,
        severity=Severity.PROBLEM if recent.failed else Severity.WARNING,
        subject=pool.subject,
        summary=(
            "Requests wait, because others hold their connections for long."
            if slow
            else "Requests wait, although connections come back soon: there are too few."
        ),
        figures=figures,
        evidence=tuple(evidence),
        remedy=remedy(cause, pool.client),
    )
