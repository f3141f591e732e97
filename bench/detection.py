"""Whether the right cause is named, and how early: workloads whose truth is known.

    python -m bench.detection > docs/reference/detection.md  # all, virtual clock: some minutes
    python -m bench.detection --live > docs/reference/detection-live.md  # live: half an hour
    python -m bench.detection --only leak-keep --verbose

Prints a Markdown document. It ends with 1 when a verdict is not the truth.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

from scenarios.live import ALWAYS, RUNS
from scenarios.live_run import run_live
from scenarios.scenario import FAULT
from scenarios.verdict import SCENARIOS, Verdict, run

INTRODUCTION = f"""\
# Does it name the right cause, and in time?

Written by `python -m bench.detection`. Each row is a workload whose truth is known, run on a
virtual clock: an event for each request and each statement. The exporter's own code joins both
sides and makes the findings, from a poll each 5 seconds; promtool runs the rules of
`deploy/prometheus` over what Prometheus would have scraped each 15 seconds. Faults begin after
{FAULT / 60:.0f} minutes.

*client*: the application is instrumented. *foreign*: its pool is known only by another library's
page (as HikariCP's by Micrometer: no lines of code, no ages) and by its sessions on the server.
FIFO and LIFO: which connection such a pool hands out first.

*verdict*: `right` when the alerts and the findings name the true causes and no other, when no
finding swings (is back within 30 seconds, or falls in severity and rises again), when page, JSON,
`doctor`, alerts and dashboards say the same, and when in a healthy workload no alert fires at all
(those of severity `info` apart).

*lead*: the share of the time from the first leak to the pool's saturation that was left when the
first alert named the leak.
"""

FOREIGN = """\
## Leaks behind a foreign page

Without a client nobody knows which connections are checked out for long. Two things are left.

**An estimate** ([Little's law](../understand/estimate.md), `pg_pool_unexplained_connections`),
where the page shows for how long the returned connections were checked out, as HikariCP's and
OpenTelemetry's do. It names the first lost connection after some 1.4 leak thresholds, whatever the
order in which the pool hands out its connections, and in whichever of several processes. It is
statistics, so the finding is a warning and says what it assumes:

- A checkout that is longer than the leak threshold works: its session is in a statement, in a
  transaction whose statements follow each other, or active most of the time. A checkout that is
  silent for longer, or works only now and then outside a transaction, is named as a leak while it
  lasts. Raise `leak_after` where that is normal.
- Requests come independently of the polls. Polls stray a little from their schedule, so a job that
  runs each second is not in step with them. A checkout because the page is read is in step: a check
  of the database by the page's own handler, while it reads the pool, looks like a leak.
- What the page counts is the pool's own: no requests of another process are in its times.

The busier the pool, the more connections must be lost: one among five in use is hidden by the
spread of the readings. How often healthy workloads are taken for leaks: `python -m bench.little`
([bench/README.md](../../bench/README.md)).

**A proof** (`pg_pool_unreturned_connections`), with any page. It makes the leak a problem, and its
bound comes only when it is sound:

- In a LIFO pool the connections at the bottom are as silent as leaked ones. The proof comes when
  more are leaked than the pool uses in turns within a minute.
- In a FIFO pool all connections are used in turns, and each of them may be the one that is out. The
  proof comes when more are leaked than are in the pool: with a pool of fixed size, when more than
  half of it is gone.
- Where each process has an address of its own (a host, a pod) from which its sessions come and at
  which its page is read, it is judged by itself. Else each process adds what it may have in its
  pool: two FIFO pools of a fixed size on one host, of which one leaks, cannot be distinguished from
  two that do not.

Pages without times (pgxpool, database/sql, Npgsql) have the proof alone.

`pg_pool_unreturned_connections_suspected` hints at it as soon as the first connection is silent for
the threshold; a healthy pool can show it too, so no alert stands on it.

## Live

The same with real pools, a real PostgreSQL, the exporter and a real Prometheus with our rules, all
durations a twentieth (a tenth with 50 processes); a PgBouncer and a clock that is behind are real
too. A foreign page is of a pool of psycopg_pool (FIFO) or of SQLAlchemy (LIFO) that nobody has
instrumented. The verdict is asked for as above; what they gave is in
[measured live](detection-live.md).

    PGPE_LIVE=leak-keep,bursts pytest tests/test_scenarios_live.py
    PGPE_LIVE=all pytest tests/test_scenarios_live.py      # three quarters of an hour
    python -m bench.detection --live                       # a table as there, half an hour

{always} run with all tests.
"""

LIVE = """\
# The same, live

Written by `python -m bench.detection --live`: the workloads of [measured](detection.md) with
real pools, a real PostgreSQL, the exporter and a real Prometheus with our rules. Times are
multiplied by the factor by which all durations were divided, so they can be compared with those
there; each moment that a busy machine takes for itself counts as much more.
"""

# More of them would disturb each other on two cores.
_LIVE_AT_ONCE = 3


def main() -> int:
    """Print the document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="scenarios whose name begins so")
    parser.add_argument("--verbose", action="store_true", help="every alert too")
    parser.add_argument("--live", action="store_true", help="with real processes")
    options = parser.parse_args()
    verdicts = _live(options.only) if options.live else _virtual(options.only)
    print(LIVE if options.live else INTRODUCTION)
    for title, chosen in (
        ("Leaks", [one for one in verdicts if one.scenario.leak]),
        (
            "Other faults",
            [one for one in verdicts if one.scenario.causes and not one.scenario.leak],
        ),
        ("Healthy", [one for one in verdicts if not one.scenario.causes]),
    ):
        table = "\n".join(_table(chosen, leads=title == "Leaks"))
        print(f"## {title}\n\n{table}" + ("" if options.live and title == "Healthy" else "\n"))
    if not options.live:
        print(FOREIGN.format(always=", ".join(ALWAYS)), end="")
    if options.verbose:
        for verdict in verdicts:
            print(f"\n{verdict.scenario.name}, {verdict.page}: saturated at {verdict.saturated}")
            print(f"  found: { {cause.value: at for cause, at in verdict.found.items()} }")
            for alert in verdict.alerts:
                print(f"  {alert.first:6.0f} s {alert.name} {alert.cause} {alert.labels}")
    return 1 if any(verdict.faults() for verdict in verdicts) else 0


def _virtual(prefix: str) -> list[Verdict]:
    wanted = [
        (scenario.name, page)
        for scenario in SCENARIOS
        for page in scenario.pages
        if scenario.name.startswith(prefix)
    ]
    with ProcessPoolExecutor(2) as pool:
        return list(pool.map(_run, *zip(*wanted, strict=True)))


def _live(prefix: str) -> list[Verdict]:
    with ThreadPoolExecutor(_LIVE_AT_ONCE) as pool:
        return list(pool.map(_run_live, [name for name in RUNS if name.startswith(prefix)]))


def _run_live(name: str) -> Verdict:
    with tempfile.TemporaryDirectory() as directory:
        outcome = run_live(name, Path(directory))
    _say(name, outcome.verdict)
    return outcome.verdict


def _run(name: str, page: str) -> Verdict:
    scenario = next(one for one in SCENARIOS if one.name == name)
    with tempfile.TemporaryDirectory() as directory:
        verdict = run(scenario, page, Path(directory))
    _say(f"{name}, {page}", verdict)
    return verdict


def _say(run: str, verdict: Verdict) -> None:
    print(f"{run}: {'; '.join(verdict.faults()) or 'right'}", file=sys.stderr, flush=True)


def _table(verdicts: Iterable[Verdict], *, leads: bool) -> Iterable[str]:
    columns = ["workload", "read by", "named by alerts", "after", "found after", "verdict"]
    if leads:
        columns.append("lead")
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * 3}---:|---:|---|{'---:|' if leads else ''}"
    for verdict in verdicts:
        cells = [
            verdict.scenario.title,
            verdict.page,
            ", ".join(cause.title for cause in verdict.alerted) or "-",
            _after(verdict.alerted.values()),
            _after(verdict.found.values()),
            _judged(verdict),
        ]
        if leads:
            cells.append(f"{verdict.lead:.0%}" if verdict.lead is not None else "-")
        yield f"| {' | '.join(cells)} |"


def _judged(verdict: Verdict) -> str:
    if verdict.faults():
        return "WRONG: " + "; ".join(verdict.faults())
    return "right"


def _after(times: Iterable[float]) -> str:
    return ", ".join(f"{at - FAULT:.0f} s" for at in times) or "-"


if __name__ == "__main__":
    sys.exit(main())
