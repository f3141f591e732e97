"""Fuzzes what reads from outside: `python -m fuzz [INPUT ...] [--mutants N] [--seed S]`.

Each input runs in a process of its own. Faults are printed with the least input that has them,
which is kept in `--out`; `python -m fuzz INPUT --input FILE` tries it again.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from math import inf
from pathlib import Path

from fuzz import guided
from fuzz.inputs import NAMES, load

# For everything at once; a harness has its own bound, which is far below.
_ADDRESS_SPACE = 4 << 30


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("inputs", nargs="*", help=f"of: {', '.join(NAMES)} (default: all)")
    parser.add_argument("--mutants", type=int, default=1_000_000, help="of each input")
    parser.add_argument("--seconds", type=float, default=inf, help="end earlier, after this time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="inputs at the same time")
    parser.add_argument("--engine", choices=["auto", "plain", "guided"], default="auto")
    parser.add_argument("--out", type=Path, default=Path(".fuzz"), help="for failing inputs")
    parser.add_argument("--input", type=Path, help="try this file only")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := {*options.inputs} - {*NAMES}:
        parser.error(f"unknown input: {', '.join(sorted(unknown))}")
    names = options.inputs or [*NAMES]
    if options.here or options.input:
        return _here(names[0], options)
    with ThreadPoolExecutor(options.jobs) as pool:
        return max(pool.map(_apart, names, [sys.argv[1:]] * len(names)))


def _apart(name: str, arguments: list[str]) -> int:
    flags = [one for one in arguments if one not in NAMES]
    command = [sys.executable, "-m", "fuzz", name, *flags, "--here"]
    # Whole reports, one after the other.
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(
        done.stdout or f"{name}: ended with {done.returncode}\n{done.stderr[-4000:]}",
        end="",
        flush=True,
    )
    return 0 if done.returncode == 0 else 1


def _here(name: str, options: argparse.Namespace) -> int:
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    coverage = options.engine == "guided" or (options.engine == "auto" and guided.is_available())
    with guided.instrumented(guided=coverage and not options.input):
        harness = load(name)
    from fuzz import runner

    if options.input:
        with harness.start() as check:
            session = runner.Session(harness, check)
            session.try_input(options.input.read_bytes())
        return _finish(session.report, options)
    amount = (options.mutants, options.seed, options.seconds)
    if coverage:
        guided.run(harness, *amount, lambda report: _finish(report, options))
    return _finish(runner.run(harness, *amount), options)


def _finish(report: object, options: argparse.Namespace) -> int:
    from fuzz.runner import Report

    assert isinstance(report, Report)
    rate = report.mutants / max(report.seconds, 1e-9)
    print(
        f"{report.harness}: {report.mutants} mutants, seed {options.seed}, {rate:.0f}/s, "
        f"{len(report.faults)} faults"
    )
    for key, fault in report.faults.items():
        options.out.mkdir(exist_ok=True)
        digest = blake2b(fault.data, digest_size=4).hexdigest()
        path = options.out / f"{report.harness}-{digest}"
        path.write_bytes(fault.data)
        print(f"  {key}: {path} ({len(fault.data)} bytes): {fault.data[:500]!r}\n{fault.text}")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
