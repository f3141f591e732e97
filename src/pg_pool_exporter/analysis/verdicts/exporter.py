"""What the exporter itself knows to be wrong with what it is given."""

from __future__ import annotations

from collections.abc import Iterator

from pg_pool_exporter.analysis.exporter_status import ExporterStatus
from pg_pool_exporter.analysis.finding import Cause, Finding, Severity, Subject
from pg_pool_exporter.analysis.fleet_view import TargetView
from pg_pool_exporter.analysis.remedies import remedy

# Lines of one problem: a configuration can have a hundred mistakes.
_MAX_LINES = 5
_MAX_LINE = 300


def exporter_impaired(status: ExporterStatus) -> Iterator[Finding]:
    """The finding about a configuration, a list or a directory that can't be used."""
    problems = (*_problems(status),)
    if not problems:
        return
    first, *_ = problems[0].partition(":")
    more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
    yield Finding(
        cause=Cause.EXPORTER_IMPAIRED,
        severity=Severity.WARNING,
        subject=Subject(),
        summary=f"{first}{more}.",
        amount=len(problems),
        evidence=problems,
        remedy=remedy(Cause.EXPORTER_IMPAIRED),
    )


def _problems(status: ExporterStatus) -> Iterator[str]:
    """A sentence each: what can't be used and what follows, a colon, and why."""
    if status.config_problem is not None:
        yield (
            "The configuration was not loaded again, the former one is in use: "
            f"{_cut(status.config_problem)}"
        )
    if status.web_config_problem is not None:
        yield (
            "The web configuration was not loaded again, the former one is in use: "
            f"{_cut(status.web_config_problem)}"
        )
    if status.socket_directory_problem is not None:
        yield (
            "Processes of this host may be missing, the socket directory can't be used: "
            f"{_cut(status.socket_directory_problem)}"
        )
    for one in status.lists:
        if one.problem is not None:
            yield (
                f"A target list of {one.app} can't be used, its former targets stay: "
                f"{one.mechanism} {one.name} {_cut(one.problem)}"
            )


def _cut(problem: str) -> str:
    lines = problem.splitlines()
    more = len(lines) - _MAX_LINES
    shown = [line.strip()[:_MAX_LINE] for line in lines[:_MAX_LINES]]
    return "; ".join([*shown, f"{more} more"] if more > 0 else shown)


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
