"""The exporter's own problems: configuration, lists, directories, log positions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pg_pool_exporter.analysis.exporter_status import ExporterStatus
from pg_pool_exporter.analysis.findings.finding import Cause, Finding, Severity, Subject
from pg_pool_exporter.analysis.findings.remedies import remedy
from pg_pool_exporter.analysis.findings.wording import few
from pg_pool_exporter.analysis.records.fleet_view import TargetView

# Lines of one problem: a configuration can have a hundred mistakes.
_MAX_LINES = 5
_MAX_LINE = 300


def exporter_impaired(status: ExporterStatus) -> Iterator[Finding]:
    """The finding about a configuration, a list or a directory that can't be used."""
    problems = (*_problems(status),)
    if not problems:
        return
    more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
    yield Finding(
        cause=Cause.EXPORTER_IMPAIRED,
        severity=Severity.WARNING,
        subject=Subject(),
        summary=f"{problems[0].what}{more}.",
        amount=len(problems),
        evidence=tuple(f"{one.what}: {_cut(one.why)}" for one in problems),
        remedy=remedy(Cause.EXPORTER_IMPAIRED),
    )


class _Problem(NamedTuple):
    what: str
    """What can't be used, with the consequence."""
    why: str


def _problems(status: ExporterStatus) -> Iterator[_Problem]:
    if status.config_problem is not None:
        yield _Problem(
            "The configuration was not loaded again, the former one is in use",
            status.config_problem,
        )
    if status.web_config_problem is not None:
        yield _Problem(
            "The web configuration was not loaded again, the former one is in use",
            status.web_config_problem,
        )
    if status.socket_directory_problem is not None:
        yield _Problem(
            "Processes of this host may be missing, the socket directory can't be used",
            status.socket_directory_problem,
        )
    for one in status.lists:
        if one.problem is not None:
            yield _Problem(
                f"A target list of {one.app} can't be used, its former targets stay",
                f"{one.mechanism} {one.name} {one.problem}",
            )


def _cut(problem: str) -> str:
    lines = (line.strip()[:_MAX_LINE] for line in problem.splitlines())
    return "; ".join(few(lines, _MAX_LINES))


def log_state_lost(target: TargetView) -> Iterator[Finding]:
    """The finding about a log whose position and counts are not saved."""
    if not target.is_fresh or target.log is None or target.log.state_problem is None:
        return
    yield Finding(
        cause=Cause.EXPORTER_IMPAIRED,
        severity=Severity.WARNING,
        subject=Subject(target=target.key),
        summary="Position and counts are not saved: a restart loses what is logged meanwhile.",
        evidence=(_cut(target.log.state_problem),),
        remedy=remedy(Cause.EXPORTER_IMPAIRED),
    )
