"""Pools made or left in the wrong way, and libraries that lose connections."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from pg_pool_exporter.analysis.findings.finding import Cause, Finding, Severity, Subject, known
from pg_pool_exporter.analysis.findings.remedies import remedy
from pg_pool_exporter.analysis.findings.wording import biggest, number, spell
from pg_pool_exporter.analysis.records.pool_view import PoolView

# By library: the first version without the fault, and the fault.
_CANCELLED = "loses a connection where a request is cancelled during `check` or a rollback"
_FAULTY = {"psycopg_pool": ((3, 2, 8), _CANCELLED)}


def slots_lost(pool: PoolView) -> Iterator[Finding]:
    """The finding about slots that are lost inside the pool library."""
    if not pool.unaccounted:
        return
    full = "; the pool is full" if (pool.utilisation or 0.0) >= 1 else ""
    counted = number(pool.unaccounted, "connection that does", "connections that do")
    yield Finding(
        cause=Cause.SLOTS_LOST_IN_LIBRARY,
        severity=Severity.PROBLEM,
        subject=pool.subject,
        summary=f"The pool counts {counted} not exist any more{full}.",
        amount=pool.unaccounted,
        figures=known(unaccounted_connections=pool.unaccounted, utilisation_ratio=pool.utilisation),
        evidence=(
            f"For {spell(pool.leak_after)} they are neither idle, nor checked out, nor being made.",
            *_known_faults(pool),
        ),
        remedy=remedy(Cause.SLOTS_LOST_IN_LIBRARY),
    )


def _known_faults(pool: PoolView) -> Iterator[str]:
    infos = {each.sample.info for each in pool.processes if each.sample.unaccounted}
    for client, version in sorted({(one.client, one.client_version) for one in infos if one}):
        first_good, fault = _FAULTY.get(client, ((), ""))
        if _numbers(version) < first_good:
            good = ".".join(map(str, first_good))
            yield f"{client} {version} {fault}; {good} does not."


def _numbers(version: str) -> tuple[int, ...]:
    """`(3, 2, 7)` of `3.2.7`; what follows the numbers is left out."""
    numbers = []
    for part in version.split("."):
        if not part.isdecimal():
            break
        numbers.append(int(part))
    return tuple(numbers)


def reclaimed_connections(pool: PoolView) -> Iterator[Finding]:
    """The finding about connections that the garbage collector returns, not the application."""
    sites: Counter[str] = Counter()
    for each in pool.processes:
        if each.recent is not None:
            sites.update(each.recent.reclaimed)
    count = sites.total()
    if count < pool.thresholds.reclaimed_connections:
        return
    yield Finding(
        cause=Cause.RECLAIMED_CONNECTIONS,
        severity=Severity.WARNING,
        subject=pool.subject,
        summary=(
            f"{number(count, 'connection', 'connections')} returned by the garbage collector in "
            f"the last {spell(pool.watched)}, not by the application."
        ),
        amount=count,
        figures={"reclaimed_connections": count},
        evidence=(
            "Each stayed checked out until it was collected.",
            "A connection of an asynchronous engine loses its session by that.",
        ),
        remedy=remedy(Cause.RECLAIMED_CONNECTIONS, pool.client, pool.framework),
        sites=dict(sites.most_common()),
    )


def pool_per_request(app: str, server: str, pools: Sequence[PoolView]) -> Iterator[Finding]:
    """The finding about an application that makes its pools again and again; `pools` are all of
    its pools on a server.
    """
    sites: Counter[str] = Counter()
    by_process: dict[str, float] = {}
    for pool in pools:
        for each in pool.processes:
            if each.recent is not None:
                sites.update(each.recent.instances)
                process = each.sample.key.process
                anew = sum(each.recent.instances.values())
                by_process[process] = by_process.get(process, 0.0) + anew
    replaced, kept = sum(by_process.values()), _kept(pools)
    for maker, unused in kept.items():
        sites[maker.site] += unused
        by_process[maker.process] = by_process.get(maker.process, 0.0) + unused
    count, most = sum(by_process.values()), max(by_process.values(), default=0.0)
    if most < max(pool.thresholds.pools_made for pool in pools):
        return
    made = number(count, "pool was", "pools were")
    watched = spell(max(pool.watched for pool in pools))
    how = "in place of former ones" if replaced >= kept.total() else "and not used again"
    yield Finding(
        cause=Cause.POOL_PER_REQUEST,
        severity=Severity.WARNING,
        subject=Subject(app=app, server=server),
        summary=f"{made} made in the last {watched} {how}.",
        amount=count,
        figures=known(pools_made=count, most_by_one_process=most, kept_pools=kept.total() or None),
        evidence=tuple(_made_at(sites, kept.total())),
        remedy=remedy(Cause.POOL_PER_REQUEST),
    )


class _Maker(NamedTuple):
    """The key of pools made for the same purpose."""

    process: str
    site: str
    leads_to: tuple[str, ...]


def _kept(pools: Iterable[PoolView]) -> Counter[_Maker]:
    """Unused pools made in the last minutes, by the key under which more are made.

    An application may have many pools on purpose: one for each database or role; or it makes them
    when it starts, or all at once; or it uses each again.
    """
    unused: Counter[_Maker] = Counter()
    goes_on = set()
    for pool in pools:
        for each in pool.processes:
            if each.arrival is None:
                continue
            info = each.sample.info
            leads_to = (info.host, info.port, info.database, info.user) if info is not None else ()
            for site in each.sample.instances:
                maker = _Maker(each.sample.key.process, site, leads_to)
                if each.arrival.just_now:
                    goes_on.add(maker)
                unused[maker] += each.arrival.is_unused
    return Counter({one: count for one, count in unused.items() if count and one in goes_on})


def _made_at(sites: Counter[str], kept: int) -> Iterator[str]:
    yield (
        "Each opens connections of its own and keeps them until it is collected; none limits "
        "their number."
    )
    if kept:
        were = number(kept, "of them is", "of them are")
        yield f"{were} still there and unused, beside others for the same database and role."
    yield f"They are made at {biggest(sites)}."
