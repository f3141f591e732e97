"""All pools as bars, the worst first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import NamedTuple

from pg_pool_exporter.analysis import Cause, Finding, Pool, Subject
from pg_pool_exporter.analysis.wording import number, spell
from pg_pool_exporter.web.page.drawing import bar, sparkline
from pg_pool_exporter.web.page.markup import Html, element, join, name
from pg_pool_exporter.web.page.tables import row, table

MOST_POOLS = 500
"""More are counted: nobody reads them, and they are on /api/v1/findings."""
_MOST_SITES = 3
_DAY = 86400.0
_COLUMNS = ("Pool", "Connections", "Use", "Last hour", "Full in", "Leaks")


class _Told(NamedTuple):
    """What the findings tell of a pool."""

    severity: int = 0
    held: float = 0.0
    of_app: float = 0.0
    """Not given back by all of the application's pools on the server together."""
    sites: Mapping[str, float] = {}


def pools_section(pools: Iterable[Pool], findings: Iterable[Finding]) -> Html | None:
    """The table of pools; None without any."""
    told = _by_pool(findings)

    def badness(pool: Pool) -> tuple[float, ...]:
        of_pool, use = _told(pool, told), pool.fullest.use or 0.0
        return -of_pool.severity, -use if isfinite(use) else 0.0, -pool.sum("waiting")

    worst = sorted(pools, key=badness)
    if not worst:
        return None
    more = len(worst) - MOST_POOLS
    return element(
        "section",
        element("h2", "Pools"),
        _legend(),
        table(
            f"{number(len(worst), 'pool', 'pools')}, the worst first",
            _COLUMNS,
            (_row(pool, _told(pool, told)) for pool in worst[:MOST_POOLS]),
            "pools",
        ),
        element("p", f"{more} more pools are not shown; all are on the metrics.")
        if more > 0
        else None,
    )


def _by_pool(findings: Iterable[Finding]) -> dict[Subject, _Told]:
    """The subject has no pool where all of an application's on a server are meant."""
    told: dict[Subject, _Told] = {}
    for one in findings:
        key = one.subject
        former = told.get(key, _Told())
        leak = one.cause is Cause.LEAK
        told[key] = _Told(
            severity=max(former.severity, one.severity),
            held=one.not_given_back if leak else former.held,
            sites=one.sites if leak else former.sites,
        )
    return told


def _told(pool: Pool, told: Mapping[Subject, _Told]) -> _Told:
    own = told.get(pool.subject, _Told())
    wider = [told.get(subject, _Told()) for subject in pool.wider_subjects]
    return own._replace(
        severity=max(own.severity, *(one.severity for one in wider)),
        of_app=max(one.held for one in wider),
    )


def _row(pool: Pool, told: _Told) -> Html:
    severity = {2: "problem", 1: "warning"}.get(told.severity, "")
    return row(
        _COLUMNS,
        _name(pool),
        _connections(pool, told.held),
        _use(pool.fullest.use),
        sparkline(pool.active_by_minute(), pool.most),
        _time(pool.seconds_to_saturation()),
        _not_given_back(pool, told),
        kind=severity,
    )


def _name(pool: Pool) -> Html:
    processes = number(len(pool.processes), "process", "processes")
    facts = [fact for fact in (pool.client, processes) if fact]
    if pool.on is not None:
        facts.append(f"server {pool.on.server}")
    return join([name(f"{pool.app}/{pool.pool}"), element("small", name(", ".join(facts)))])


def _connections(pool: Pool, held: float) -> Html:
    active, idle, waiting = (pool.sum(field) for field in ("active", "idle", "waiting"))
    most = pool.most
    limit = "no maximum known" if most is None else f"of {_number(most)}"
    words = f"{_number(active)} active, {_number(idle)} idle, {limit}; {_number(waiting)} waiting"
    lost = min(held, active) if held else 0.0
    parts = (("held", lost), ("active", active - lost), ("idle", idle))
    label = f"{words}; {_number(held)} not given back" if held else words
    return join(
        [
            bar(parts, most or active + idle, label, waiting),
            element("small", words, aria_hidden="true"),
        ]
    )


def _not_given_back(pool: Pool, told: _Told) -> Html | None:
    """Leaks with their lines; what else is odd about the pool's sessions."""
    parts: list[Html] = []
    if told.held:
        parts.append(element("strong", f"{_number(told.held)} not given back"))
    parts += [
        element("small", element("code", site), f" ({count:g})")
        for site, count in list(told.sites.items())[:_MOST_SITES]
    ]
    if (more := len(told.sites) - _MOST_SITES) > 0:
        parts.append(element("small", f"{more} more lines"))
    overdue = pool.at_all_sites("overdue")
    if overdue and not told.held:
        away = pool.on is not None and not pool.on.lately
        why = "nobody knows why" if away else "which something explains"
        parts.append(element("small", f"{_number(overdue)} overdue, {why}"))
    if pool.on is not None and pool.on.suspects and not told.held:
        parts.append(element("small", name(f"{_number(pool.on.suspects)} suspected{_of(pool)}")))
    if told.of_app and not told.held:
        not_back = f"{_number(told.of_app)} not given back{_of(pool)}"
        parts.append(element("small", name(not_back)))
    if pool.on is not None and pool.on.missing:
        parts.append(element("small", f"{_number(pool.on.missing)} without a session"))
    return join(parts) if parts else None


def _of(pool: Pool) -> str:
    """Of whom something is told that an application's pools on a server have together."""
    together = pool.on is not None and pool.on.pools > 1
    return f" by all pools of {pool.app} together" if together else ""


def _legend() -> Html:
    kinds: Sequence[tuple[str, str]] = (
        ("held", "not given back"),
        ("active", "active"),
        ("idle", "idle"),
        ("room", "room up to the maximum"),
        ("waiting", "requests waiting"),
    )
    return element(
        "p", join(element("span", words, class_=f"key {kind}") for kind, words in kinds),
        class_="legend", aria_hidden="true",
    )  # fmt: skip


def _use(use: float | None) -> str | None:
    return f"{use:.0%}" if use is not None and isfinite(use) else None


def _time(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    if seconds <= 0:
        return "full"
    return spell(seconds) if seconds < _DAY else "over a day"


def _number(value: float) -> str:
    return f"{value:g}" if isfinite(value) else "?"
