"""The soak's judgement: what counts as growth."""

from __future__ import annotations

import gc
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.soak.figures import measure, report_on_signal
from bench.soak.trend import MIN_SAMPLES, Tolerance, trend

FEW = Tolerance(3)


def test_a_slow_leak_under_noise_is_found() -> None:
    noise = random.Random(1)
    samples = [40 + 0.1 * number + noise.uniform(-4, 4) for number in range(120)]
    assert trend(samples, FEW).grows


def test_noise_and_peaks_are_no_growth() -> None:
    noise = random.Random(1)
    samples = [40 + noise.uniform(-4, 4) for _ in range(120)]
    samples[90:100] = [400.0] * 10
    found = trend(samples, FEW)
    assert not found.grows
    assert found.largest == 400


def test_what_may_grow_by_a_share() -> None:
    samples = [100 + number / 30 for number in range(120)]
    assert trend(samples, Tolerance(1)).grows
    assert not trend(samples, Tolerance(1, share=0.05)).grows


def test_too_few_samples_are_no_answer() -> None:
    with pytest.raises(ValueError, match=str(MIN_SAMPLES)):
        trend([1.0] * (MIN_SAMPLES - 1), FEW)


@pytest.fixture
def reports(tmp_path: Path) -> Iterator[Path]:
    """Where this process reports its figures."""
    former = signal.getsignal(signal.SIGUSR1)
    report_on_signal(tmp_path / "figures")
    yield tmp_path / "figures"
    signal.signal(signal.SIGUSR1, former)


def test_cycles_that_nothing_collects_are_counted(reports: Path) -> None:
    gc.collect()
    gc.disable()
    try:
        before = measure(os.getpid(), reports)["objects"]
        for _ in range(5000):
            cycle: list[object] = []
            cycle.append(cycle)
        assert measure(os.getpid(), reports)["objects"] >= before + 5000
    finally:
        gc.enable()
        gc.collect()
