"""What is wrong, and why: from what is known at a moment to findings with one cause each. Pure.

`Trends` remembers the last hour of each pool in bounded memory, `situation` gathers what is known
at a moment, `find` judges it; `Doctor` does all that for whoever asks.
"""

from pg_pool_exporter.analysis.analyzer import Diagnosis, Doctor
from pg_pool_exporter.analysis.bouncer_view import BouncersPool
from pg_pool_exporter.analysis.checklist import Check, Verdict, checklist
from pg_pool_exporter.analysis.finding import Cause, Finding, Severity, Subject
from pg_pool_exporter.analysis.fleet_view import App, Pool, Server, Situation, situation
from pg_pool_exporter.analysis.history import Trend, Trends
from pg_pool_exporter.analysis.verdicts.judge import find

__all__ = [
    "App",
    "BouncersPool",
    "Cause",
    "Check",
    "Diagnosis",
    "Doctor",
    "Finding",
    "Pool",
    "Server",
    "Severity",
    "Situation",
    "Subject",
    "Trend",
    "Trends",
    "Verdict",
    "checklist",
    "find",
    "situation",
]
