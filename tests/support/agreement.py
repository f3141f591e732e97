"""Whether everything that shows an analysis says the same: findings, checklist, page, JSON, the
answer of `doctor`, and the metrics that alerts and dashboards read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser

from pg_pool_exporter.analysis.analyzer import Analysis
from pg_pool_exporter.analysis.checklist import Check
from pg_pool_exporter.analysis.findings.finding import Finding, Verdict
from pg_pool_exporter.commands.doctor.report import EXIT_CODES, Report
from pg_pool_exporter.exposition import findings
from pg_pool_exporter.metrics.catalogue import FINDING
from pg_pool_exporter.web.findings_json import findings_json
from pg_pool_exporter.web.page import Place, document

# Points that can warn without a finding: what is unusual, but harms nobody yet.
ADVICE = {"targets", "pool_utilisation", "old_sessions", "settings"}

_MORE = re.compile(r"\d+ more")

Said = tuple[str, ...]


def disagreement(analysis: Analysis) -> str | None:
    """How they differ; None when they agree.

    A problem is one in all of them. Without a finding nothing but advice may warn.
    """
    return _with_checklist(analysis) or _with_what_is_shown(analysis)


def shown(analysis: Analysis) -> str:
    """The page."""
    place = Place(host="here", telemetry_path="/metrics", findings_path="/findings")
    return document(analysis, 0.0, place=place, refresh=False).decode()


def _with_checklist(analysis: Analysis) -> str | None:
    found = max((Verdict(one.severity) for one in analysis.findings), default=Verdict.FINE)
    bad = {one.name: one.verdict for one in analysis.checks if one.verdict > Verdict.FINE}
    checked = max(bad.values(), default=Verdict.FINE)
    if not analysis.findings and checked is Verdict.WARNING and bad.keys() <= ADVICE:
        return None
    if found is checked:
        return None
    return f"the findings say {found.title}, the checklist {checked.title}: {sorted(bad)}"


def _with_what_is_shown(analysis: Analysis) -> str | None:
    body = findings_json(analysis, 0.0)
    for name, expected, said in (
        ("page", map(_on_page, analysis.findings), _page(shown(analysis))),
        ("JSON", map(_in_json, analysis.findings), _json(body)),
        ("metrics", {_in_metrics(one) for one in analysis.findings}, _metrics(analysis)),
    ):
        if (wanted := sorted(expected)) != (got := sorted(said)):
            return f"the findings say {wanted}, the {name} {got}"
    worst = max((one.verdict for one in analysis.checks), default=Verdict.FINE)
    code = EXIT_CODES[max(worst, Verdict.FINE)]
    report = Report.read(body)
    if report.exit_code != code:
        return f"doctor ends with {report.exit_code}, not {code}"
    unsaid = [
        str(one.subject)
        for one in analysis.findings
        if not _in_report(one, analysis.checks, report)
    ]
    return f"doctor says nothing of {unsaid}" if unsaid else None


def _in_report(finding: Finding, checks: Iterable[Check], report: Report) -> bool:
    """Whether a point about its cause that is at least as bad names what the finding is about, or
    has no room.
    """
    about = {one.name for one in checks if finding.cause in one.causes}
    return any(
        str(finding.subject) in line or _MORE.fullmatch(line)
        for point in report.checks
        if point.check in about and point.level >= Verdict(finding.severity)
        for line in point.evidence
    )


def _on_page(finding: Finding) -> Said:
    return finding.severity.title, finding.cause.title, str(finding.subject)


def _page(text: str) -> list[Said]:
    parser = _Headings()
    parser.feed(text)
    return parser.found


class _Headings(HTMLParser):
    """The headings of the findings: severity, cause and subject."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Said] = []
        self._heading: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        is_finding = (dict(attrs).get("id") or "").startswith("finding-")
        if tag == "details" and is_finding:
            self._heading = []

    def handle_data(self, data: str) -> None:
        if self._heading is not None and data.strip():
            self._heading.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "summary" and self._heading is not None:
            self.found.append(tuple(self._heading))
            self._heading = None


def _in_json(finding: Finding) -> Said:
    return (
        finding.severity.title, finding.cause.value, finding.subject.app, finding.subject.pool,
        finding.subject.server, str(float(finding.amount)),
    )  # fmt: skip


def _json(body: str) -> Iterator[Said]:
    for one in json.loads(body)["findings"]:
        subject = one["subject"]
        names = (subject.get(name, "") for name in ("app", "pool", "server"))
        yield one["severity"], one["cause"], *names, str(float(one["amount"]))


def _in_metrics(finding: Finding) -> Said:
    return finding.severity.title, finding.cause.value, finding.subject.pool, finding.subject.server


def _metrics(analysis: Analysis) -> set[Said]:
    said = set()
    for one in findings.series(analysis.findings):
        if one.metric is not FINDING:
            continue
        labels = dict(zip(one.metric.labels, one.labels, strict=True))
        said.add(tuple(labels[name] for name in ("severity", "cause", "pool", "server")))
    return said
