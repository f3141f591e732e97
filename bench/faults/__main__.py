"""Provoke all faults, and write what shows them as Markdown: `python -m bench.faults`.

With words, only the faults whose titles hold one of them. The exit code is 1 where something did
not show as it must. Some three minutes on two cores.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from operator import attrgetter
from queue import Empty, SimpleQueue

from bench.faults import FAULTS, Fault
from bench.faults.measure import Outcome, measure
from bench.faults.stand import PEER, PEER_SECONDS, is_possible, serving

_STANDS = 3
_DIRECTORY = re.compile(r"/\S*/pgpe-[^/\s]+/")
"""Temporary directories, with other names in each run."""
_INTRODUCTION = """# Faults, and what shows them

Output of `python -m bench.faults > docs/reference/faults.md`: each fault is provoked beside a
running exporter, with real servers, processes, files and connections, and taken away again. Each
target is polled every second with a deadline of 0.9 s. The command fails where a fault does not
show as it must, where a scrape takes longer than 5 s (more on a busy machine), and where something
has not recovered
afterwards. Times are seconds since the fault was provoked; the machine was busy with other work,
which shows in the longest ones.

- **metrics**: what a scrape shows: a target that is down (`pg_pool_exporter_target_up` 0), with the
  reason of `pg_pool_exporter_poll_failures_total`, or another series;
- **page, JSON**: the cause of the finding, or the point of the checklist that is not fine;
- **doctor**: its exit code (0 fine, 1 warning, 3 problem);
- **log**: the first line about it, shortened, and how many there were in all;
- **scrape**: the slowest one meanwhile; **recovered**: seconds after the fault was taken away.
"""


def main() -> int:
    """Measure, and print; the exit code."""
    words = sys.argv[1:]
    wanted = [one for one in FAULTS if not words or any(word in one.title for word in words)]
    possible = [one for one in wanted if is_possible(one.needs)]
    outcomes = _measured(possible)
    print(_INTRODUCTION)
    print(_about_peer())
    for kind, faults in groupby(possible, attrgetter("kind")):
        print(f"## {kind}\n")
        print("\n".join(_table([outcomes[one] for one in faults])) + "\n")
    wrong = [one for one in outcomes.values() if one.wrong]
    print(f"{len(outcomes)} faults, {len(wrong)} not shown as they must be.")
    return 1 if wrong else 0


def _measured(faults: Iterable[Fault]) -> dict[Fault, Outcome]:
    waiting: SimpleQueue[Fault] = SimpleQueue()
    for one in faults:
        waiting.put(one)
    outcomes: dict[Fault, Outcome] = {}

    def work(_number: int) -> None:
        while not waiting.empty():
            with serving() as stand:
                while True:
                    try:
                        fault = waiting.get_nowait()
                    except Empty:
                        return
                    outcome = outcomes[fault] = measure(stand, fault, with_peer=True)
                    verdict = "; ".join(outcome.wrong) or "right"
                    print(f"{fault.kind}: {fault.title}: {verdict}", file=sys.stderr, flush=True)
                    if outcome.recovered_after is None:
                        break  # the next fault gets a stand on which all is well

    with ThreadPoolExecutor(_STANDS) as stands:
        list(stands.map(work, range(_STANDS)))
    return outcomes


def _about_peer() -> str:
    if not PEER.exists():
        return ""
    version = subprocess.run([PEER, "--version"], capture_output=True, text=True, check=True)
    line = (version.stdout or version.stderr).splitlines()[0]
    return (
        f"**postgres_exporter**: what its {line.partition(' (')[0].partition(', ')[2]} answers at "
        f"that moment, on the same server over the same connection, within {PEER_SECONDS:g} s.\n"
    )


def _table(outcomes: list[Outcome]) -> Iterator[str]:
    peer = any(one.peer for one in outcomes)
    columns = ["fault", "metrics", "page, JSON", "doctor", "log", "scrape", "recovered"]
    columns += ["postgres_exporter"] if peer else []
    yield f"| {' | '.join(columns)} |"
    yield "|" + "---|" * len(columns)
    for one in outcomes:
        cells = [
            one.fault.title, _metrics(one), _finding(one), str(one.doctor), _log(one),
            f"{one.slowest_scrape * 1000:.0f} ms",
            f"{one.recovered_after:.1f} s" if one.recovered_after is not None else "no",
        ]  # fmt: skip
        if peer:
            cells.append(one.peer or "-")
        if one.wrong:
            cells[0] += f" **WRONG: {'; '.join(one.wrong)}**"
        yield f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _metrics(one: Outcome) -> str:
    expected, shown = one.fault.expected, one.shown
    if "down" in shown:
        kind, _, name = expected.down.partition(" ")
        reason = f", `{expected.reason}`" if expected.reason else ""
        return f"{kind} `{name}` down{reason}, {shown['down']:.1f} s"
    if "series" in shown:
        return f"`{expected.series.partition('{')[0]}`, {shown['series']:.1f} s"
    return "all up"


def _finding(one: Outcome) -> str:
    expected, shown = one.fault.expected, one.shown
    if "cause" in shown:
        return f"`{expected.cause}`, {shown['cause']:.1f} s"
    if "check" in shown:
        return f"`{expected.check}` not fine, {shown['check']:.1f} s"
    return "-"


def _log(one: Outcome) -> str:
    if not one.line:
        return "-"
    line = _DIRECTORY.sub("", one.line)
    text = line if len(line) <= 100 else f"{line[:100]}…"
    return f"{text} ({one.lines})" if one.lines > 1 else text


if __name__ == "__main__":
    sys.exit(main())
