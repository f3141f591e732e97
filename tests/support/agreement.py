"""Whether the findings and the checklist of an analysis are equally bad."""

from __future__ import annotations

from pg_pool_exporter.analysis.analyzer import Analysis
from pg_pool_exporter.analysis.finding import Verdict

# Points that can warn without a finding: what is unusual, but harms nobody yet.
ADVICE = {"targets", "pool_utilisation", "old_sessions", "settings"}


def disagreement(analysis: Analysis) -> str | None:
    """How they differ; None when they agree.

    A problem is one in both. Without a finding nothing but advice may warn.
    """
    found = max((Verdict(one.severity) for one in analysis.findings), default=Verdict.FINE)
    bad = {one.name: one.verdict for one in analysis.checks if one.verdict > Verdict.FINE}
    checked = max(bad.values(), default=Verdict.FINE)
    if not analysis.findings and checked is Verdict.WARNING and bad.keys() <= ADVICE:
        return None
    if found is checked:
        return None
    return f"the findings say {found.title}, the checklist {checked.title}: {sorted(bad)}"
