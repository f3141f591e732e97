"""A run's verdict, and whether it is the truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, pairwise
from pathlib import Path

from deploy.prometheus.findings import WITHOUT_ALERT
from pg_pool_exporter.analysis.findings.finding import Cause, Finding
from scenarios.alerts import Alert, Watched, watched
from scenarios.bouncers import BOUNCERS
from scenarios.exporter import SCRAPE, Courses
from scenarios.faults import FAULTS
from scenarios.healthy import HEALTHY
from scenarios.leaks import LEAKS
from scenarios.long_holds import LONG_HOLDS
from scenarios.ordinary import ORDINARY
from scenarios.scenario import FAULT, HOUR, Scenario, Setup

SCENARIOS = (*LEAKS, *FAULTS, *HEALTHY, *ORDINARY, *LONG_HOLDS, *BOUNCERS)
RUNS = [(scenario, page) for scenario in SCENARIOS for page in scenario.pages]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was said of one run. Times are seconds from the start."""

    scenario: Scenario
    page: str
    alerts: list[Alert]
    found: dict[Cause, float]
    """Causes of the findings, by when each was found first."""
    saturated: float | None
    blamed: frozenset[str] = frozenset()
    """Lines of code that findings name for certain."""
    symptom: float | None = None
    """When requests were first found to wait for an unknown reason."""
    swings: Sequence[str] = ()
    """Findings that come again, and leaks that change their severity often, though nothing else
    changes."""
    disagreements: Sequence[tuple[float, str]] = ()
    """Between what shows the findings, with their times."""

    @property
    def alerted(self) -> dict[Cause, float]:
        """Causes of the alerts, by when the first with each fired."""
        first: dict[Cause, float] = {}
        for alert in self.alerts:
            if alert.cause:
                first.setdefault(Cause(alert.cause), alert.first)
        return first

    @property
    def lead(self) -> float | None:
        """The share of the time from the fault to saturation that was left at the first alert with
        the right cause. None when it is not asked for.
        """
        if not self.scenario.leak or self.saturated is None:
            return None
        times = [self.alerted[cause] for cause in self.scenario.causes if cause in self.alerted]
        if not times:
            return 0.0
        return max(0.0, (self.saturated - min(times)) / (self.saturated - FAULT))

    def faults(self) -> list[str]:
        """What is wrong with the verdict; empty when it is the truth."""
        truth = self.scenario.causes
        said = [
            *(f"at {at:.0f} s {difference}" for at, difference in self.disagreements),
            *self.swings,
            *(f"no alert says {cause.title}" for cause in truth - self.alerted.keys()),
            *(f"no finding says {cause.title}" for cause in truth - self.found.keys()),
            *(f"an alert says {cause.title}" for cause in self.alerted.keys() - truth),
            *(f"a finding says {cause.title}" for cause in self.found.keys() - truth),
            *(f"{site} is blamed" for site in self.blamed - self.scenario.to_blame),
            *(f"{cause.title} is found at {at:.0f} s" for cause, at in self.found.items()
              if at < FAULT),
        ]  # fmt: skip
        if self.symptom is not None and (not truth or self.symptom < FAULT):
            said.append(f"requests wait for an unknown reason at {self.symptom:.0f} s")
        early = [alert for alert in self.alerts if not truth or alert.first < FAULT]
        return [*said, *(f"{alert.name} fires at {alert.first:.0f} s" for alert in early)]


def run(scenario: Scenario, page: str, directory: Path) -> Verdict:
    """Let it run on the virtual clock. `directory` is for promtool's input."""
    setup = Setup(
        native=page == "client", lifo=page.endswith("LIFO"), long_lived=scenario.long_lived,
        bouncers=scenario.bouncers,
    )  # fmt: skip
    scenario.build(setup)
    seconds = scenario.hours * HOUR
    setup.world.run(seconds)
    found: dict[Cause, float] = {}
    for at, finding in setup.exporter.seen:
        found.setdefault(finding.cause, at)
    symptom = found.pop(Cause.UNKNOWN, None)
    blamed = (
        finding.sites
        for _, finding in setup.exporter.seen
        if finding.cause is Cause.LEAK and finding.sites_are_certain
    )
    shown = watched(setup.exporter.recorder, seconds, directory)
    differences = _at_the_end(setup.exporter.seen, shown, seconds)
    return Verdict(
        scenario=scenario,
        page=page,
        alerts=shown.alerts,
        found=found,
        saturated=setup.saturated,
        blamed=frozenset(chain.from_iterable(blamed)),
        symptom=symptom,
        swings=[*_swings(setup.exporter.courses)],
        disagreements=[*setup.exporter.disagreements, *((seconds, one) for one in differences)],
    )


# In its course a finding becomes a problem, and one that is over comes back later.
_RISES = 1
_BACK_SOON = 30.0


def _swings(courses: Courses) -> Iterator[str]:
    for (cause, subject), course in courses.items():
        if cause is Cause.UNKNOWN:  # requests wait at this moment
            continue
        severities = [one for one, _ in groupby(one for _, one in course if one is not None)]
        # That of others says whether somebody suffers at this moment.
        swings = cause is Cause.LEAK and len(severities) > _RISES + 1
        back_soon = any(
            severity is None and later - at < _BACK_SOON
            for (at, severity), (later, _) in pairwise(course)
        )
        if back_soon or swings:
            shown = ", ".join(
                f"{severity.title if severity else 'gone'} at {at:.0f} s" for at, severity in course
            )
            yield f"{cause.title} of {subject} is {shown}"


# The longest `for` and `keep_firing_for` of an alert about a finding, and a minute.
_FIRES_AFTER = 11 * 60.0
_FIRES_UNTIL = 6 * 60.0

_About = tuple[str, ...]


def _at_the_end(seen: Sequence[tuple[float, Finding]], shown: Watched, end: float) -> Iterator[str]:
    """How alerts and dashboards differ from the findings."""
    now = [finding for at, finding in seen if at > end - SCRAPE]
    table = sorted(_about(row) for row in shown.table)
    wanted = sorted({(one.severity.title, *_of(one)) for one in now})
    if table != wanted:
        yield f"the findings say {wanted}, the dashboards {table}"
    firing = {
        _about({**one.labels, "cause": one.cause})[1:]
        for one in shown.alerts
        if one.cause and one.last > end - SCRAPE
    }
    scrapes = Counter(_of(one) for at, one in seen if at > end - _FIRES_AFTER)
    standing = {about for about, count in scrapes.items() if count >= _FIRES_AFTER / SCRAPE}
    silent = {cause.value for cause in WITHOUT_ALERT}
    for about in sorted(standing - firing):
        if about[0] not in silent:
            yield f"no alert fires for {about}"
    recent = {_of(one) for at, one in seen if at > end - _FIRES_UNTIL}
    for about in sorted(firing - recent):
        yield f"an alert fires for {about}, without a finding"


def _of(finding: Finding) -> _About:
    subject = finding.subject
    app = (subject.target.app if subject.target else "") or subject.app
    return finding.cause.value, app, subject.pool, subject.server


def _about(labels: Mapping[str, str]) -> _About:
    return tuple(labels.get(name, "") for name in ("severity", "cause", "app", "pool", "server"))
