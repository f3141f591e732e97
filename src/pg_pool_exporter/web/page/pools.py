"""All pools as bars, the worst first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite

from pg_pool_exporter.analysis.findings.wording import number, spell
from pg_pool_exporter.analysis.records.app_view import AppView
from pg_pool_exporter.analysis.records.pool_view import PoolView
from pg_pool_exporter.web.links import Links
from pg_pool_exporter.web.page.drawing import bar, sparkline
from pg_pool_exporter.web.page.markup import (
    POOLS_LEFT_OUT,
    Html,
    element,
    join,
    left_out,
    linked,
    name,
    section,
)
from pg_pool_exporter.web.page.tables import row, table

MAX_POOLS = 500
"""More are only counted; /api/v1/findings has them."""
MAX_OPEN = 50
"""The others are folded."""
_MAX_SITES = 3
_COLUMNS = ("Pool", "Connections", "Utilisation", "Last hour", "Trend", "Leaks")


def pools_section(pools: Iterable[PoolView], links: Links) -> Html | None:
    """The tables of pools, the second one folded; None without any."""
    worst = sorted(pools, key=_badness, reverse=True)
    if not worst:
        return None
    first, rest = worst[:MAX_OPEN], worst[MAX_OPEN:MAX_POOLS]
    words = number(len(worst), "pool", "pools")
    return section(
        "pools",
        "Pools",
        _legend(),
        _table(f"{words}, the worst first", first, links),
        element(
            "details",
            element("summary", number(len(rest), "more pool", "more pools")),
            _table("Less used", rest, links),
        )
        if rest
        else None,
        left_out(len(worst) - MAX_POOLS, POOLS_LEFT_OUT),
    )


def _table(caption: str, pools: Sequence[PoolView], links: Links) -> Html:
    return table(caption, _COLUMNS, (_row(one, links) for one in pools), "pools")


def _badness(pool: PoolView) -> tuple[float, ...]:
    share = pool.utilisation or 0.0
    return pool.verdict.severity or 0, share if isfinite(share) else 0.0, pool.waiting or 0.0


def _row(pool: PoolView, links: Links) -> Html:
    severity = pool.verdict.severity
    return row(
        _COLUMNS,
        _name(pool, links),
        _connections(pool),
        _share(pool.utilisation),
        sparkline(pool.active_by_minute, pool.max),
        _trend(pool.seconds_to_saturation),
        _leaks(pool),
        kind="" if severity is None else severity.title,
    )


def _name(pool: PoolView, links: Links) -> Html:
    processes = number(len(pool.processes), "process", "processes")
    facts = [fact for fact in (pool.client, processes) if fact]
    if pool.app_on_server is not None:
        facts.append(pool.app_on_server.key.title)
    title = linked(name(pool.name), links.pool(pool.subject.app, pool.subject.pool))
    return join([title, element("small", name(", ".join(facts)))])


def _leaked(pool: PoolView) -> float:
    leak = pool.verdict.leak
    return leak.amount if leak is not None else 0.0


def _connections(pool: PoolView) -> Html:
    limit = "no maximum known" if pool.max is None else f"of {_number(pool.max)}"
    words = (
        f"{_number(pool.active)} in use, {_number(pool.idle)} idle, {limit}; "
        f"{_number(pool.waiting)} waiting"
    )
    active, idle, leaked = pool.active or 0.0, pool.idle or 0.0, _leaked(pool)
    shown = min(leaked, active)
    parts = (("held", shown), ("active", active - shown), ("idle", idle))
    label = f"{words}; {_number(leaked)} not returned" if leaked else words
    return join(
        [
            bar(parts, pool.max or active + idle, label, pool.waiting or 0.0),
            element("small", words, aria_hidden="true"),
        ]
    )


def _leaks(pool: PoolView) -> Html | None:
    """Leaks with their lines of code; connections without a session."""
    parts: list[Html] = []
    leaked, leak, app = _leaked(pool), pool.verdict.leak, pool.app_on_server
    sites = list(leak.sites.items()) if leak is not None else []
    if leaked:
        parts.append(element("strong", f"{_number(leaked)} not returned"))
    parts += [
        element("small", element("code", site), f" ({count:g})")
        for site, count in sites[:_MAX_SITES]
    ]
    if (more := len(sites) - _MAX_SITES) > 0:
        parts.append(element("small", f"{more} more lines"))
    if pool.overdue and not leaked:
        long = number(pool.overdue, "long checkout", "long checkouts")
        is_unknown = app is not None and not app.recent_polls
        parts.append(element("small", f"{long}, {'cause unknown' if is_unknown else 'explained'}"))
    if app is not None and app.evidence.suspected and not leaked:
        suspected = f"{_number(app.evidence.suspected)} suspected{_of(app)}"
        parts.append(element("small", name(suspected)))
    if app is not None and pool.verdict.leaked_by_app and not leaked:
        of_app = f"{_number(pool.verdict.leaked_by_app)} not returned{_of(app)}"
        parts.append(element("small", name(of_app)))
    if app is not None and app.evidence.missing:
        parts.append(element("small", f"{_number(app.evidence.missing)} without a session"))
    return join(parts) if parts else None


def _of(app: AppView) -> str:
    """Whose connections they are, where an application has several pools on the server."""
    return f" by all pools of {app.key.app} together" if app.pools > 1 else ""


def _legend() -> Html:
    kinds: Sequence[tuple[str, str]] = (
        ("held", "not returned"),
        ("active", "in use"),
        ("idle", "idle"),
        ("room", "room up to the maximum"),
        ("waiting", "requests waiting"),
    )
    return element(
        "p", join(element("span", words, class_=f"key {kind}") for kind, words in kinds),
        class_="legend", aria_hidden="true",
    )  # fmt: skip


def _share(share: float | None) -> str | None:
    return f"{share:.0%}" if share is not None and isfinite(share) else None


def _trend(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return f"full in {spell(seconds)} at this pace" if seconds > 0 else "full"


def _number(value: float | None) -> str:
    return f"{value:g}" if value is not None and isfinite(value) else "?"
