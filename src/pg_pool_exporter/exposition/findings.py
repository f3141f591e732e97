"""The findings as series: alerts and dashboards repeat what page and API say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pg_pool_exporter.analysis.finding import Finding, Subject
from pg_pool_exporter.metrics import catalogue as c
from pg_pool_exporter.metrics.series import Series


def series(findings: Iterable[Finding]) -> Iterator[Series]:
    """One series by cause, severity and subject; amounts of findings that share these add up."""
    amounts: dict[tuple[str, ...], float] = {}
    for one in findings:
        labels: tuple[str, ...] = (one.cause.value, one.severity.title, *_subject(one.subject))
        amounts[labels] = amounts.get(labels, 0.0) + one.amount
    for labels, amount in amounts.items():
        yield Series(c.FINDING, labels, amount)


def _subject(subject: Subject) -> tuple[str, ...]:
    """Values of `app`, `pool`, `server`, `bouncer`, `target`."""
    target = subject.target
    if target is None:
        return subject.app, subject.pool, subject.server, "", ""
    bouncer = target.name if target.kind == "bouncer" else ""
    return target.app, "", "", bouncer, target.label
