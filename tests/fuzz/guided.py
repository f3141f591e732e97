"""The same with coverage as the guide: atheris keeps mutants that reach new code."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from random import Random

from fuzz.harness import Harness
from fuzz.mutator import Mutator
from fuzz.runner import Report, Session


def is_available() -> bool:
    """Whether atheris is installed."""
    return find_spec("atheris") is not None


def instrumented(*, guided: bool) -> AbstractContextManager[object]:
    """Around the import of all that is to be fuzzed."""
    if not guided:
        return nullcontext()
    context: AbstractContextManager[object] = import_module("atheris").instrument_imports(
        include=["pg_pool_exporter"]
    )
    return context


def run(
    harness: Harness, mutants: int, seed: int, seconds: float, finish: Callable[[Report], int]
) -> None:
    """As `runner.run`, but ends the process, with what `finish` returns."""
    atheris = import_module("atheris")
    mutator = Mutator(
        harness.seeds, harness.tokens, harness.max_bytes, seed=f"{seed} {harness.name}"
    )
    random = Random(seed)
    with harness.start() as check, tempfile.TemporaryDirectory() as corpus:
        for number, data in enumerate(harness.seeds):
            Path(corpus, str(number)).write_bytes(data)
        session = Session(harness, check)

        def one(data: bytes) -> None:
            session.try_input(data)
            if session.report.mutants >= mutants or session.report.seconds >= seconds:
                status = finish(session.report)
                sys.stdout.flush()
                shutil.rmtree(corpus, ignore_errors=True)  # nothing after `_exit` does
                os._exit(status)

        def mutated(data: bytes, max_bytes: int, _seed: int) -> bytes:
            if random.random() < 0.5:
                damaged: bytes = atheris.Mutate(data, max_bytes)
                return damaged
            return mutator.mutated(data)[:max_bytes]

        options = [
            "fuzz", f"-seed={seed or 1}", f"-max_len={harness.max_bytes}", "-timeout=0",
            "-rss_limit_mb=0", "-verbosity=0", "-print_final_stats=0", "-len_control=0",
            f"-artifact_prefix={corpus}/", corpus,  # ours keeps the failing inputs, see `finish`
        ]  # fmt: skip
        atheris.Setup(options, one, custom_mutator=mutated)
        atheris.Fuzz()
