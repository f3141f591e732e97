"""Findings and trends as series, the same as on the page and in the API."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from pg_pool_exporter.analysis.findings.finding import Finding, Subject
from pg_pool_exporter.analysis.records.pool_view import PoolView
from pg_pool_exporter.metrics import catalogue as c
from pg_pool_exporter.metrics.series import Series

_MAX_SITES = 10
"""Lines of code of each finding; the others are folded into one."""


def series(findings: Iterable[Finding]) -> Iterator[Series]:
    """One series by cause, severity and subject, and by blamed line of code.

    Of findings that share all labels the largest amount counts: they are about the same thing.
    """
    amounts: dict[tuple[str, ...], float] = {}
    blamed: defaultdict[tuple[str, ...], float] = defaultdict(float)
    for one in findings:
        labels = (one.cause.value, one.severity.title, *_subject(one.subject))
        amounts[labels] = max(one.amount, amounts.get(labels, one.amount))
        if one.sites_are_certain:
            about = (one.cause.value, one.subject.app, one.subject.pool, one.subject.server)
            for place, (site, count) in enumerate(one.sites.items()):
                blamed[*about, site if place < _MAX_SITES else c.OTHER] += count
    for labels, amount in amounts.items():
        yield Series(c.FINDING, labels, amount)
    for labels, count in blamed.items():
        yield Series(c.FINDING_SITE_CONNECTIONS, labels, count)


def of_trends(pools: Iterable[PoolView]) -> Iterator[Series]:
    """One series for each process's pool that fills or is saturated."""
    for pool in pools:
        for process in pool.processes:
            if process.seconds_to_saturation is not None:
                yield Series(
                    c.TIME_TO_SATURATION, tuple(process.sample.key), process.seconds_to_saturation
                )


def _subject(subject: Subject) -> tuple[str, ...]:
    """Values of `app`, `pool`, `server`, `database`, `user`, `bouncer`, `target`."""
    target = subject.target
    if target is None:
        return (
            subject.app, subject.pool, subject.server, subject.database, subject.user,
            subject.bouncer, "",
        )  # fmt: skip
    bouncer = target.name if target.kind == "bouncer" else ""
    return (
        target.app or subject.app, "", "", subject.database, subject.user, bouncer, target.label,
    )  # fmt: skip
