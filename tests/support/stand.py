"""A live stand: a scenario of the demonstration, scraped by a Prometheus with our rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from support.postgres import wait_until
from support.programs import Prometheus, answers, exporter, free_port, running
from support.scaled_rules import write_scaled

RULES = sorted(
    path
    for path in (Path(__file__).parents[2] / "deploy/prometheus").glob("*.yml")
    if path.read_text().startswith("#") and "\ngroups:" in path.read_text()
)
FACTOR = 30
"""So much faster do rules see time pass: their 5 minutes are 10 s."""


@contextmanager
def stand(directory: Path, scenario: str, more: Sequence[str] = ()) -> Iterator[Prometheus]:
    """Prometheus, with `FACTOR`ed rules, that scrapes the `scenario` and `more` addresses."""
    directory.mkdir()
    address = f"127.0.0.1:{free_port()}"
    rules = write_scaled(RULES, directory, FACTOR)
    demo = exporter("demo", f"--scenario={scenario}", f"--web.listen-address={address}")
    with (
        running(demo, log=directory / "demo.log"),
        Prometheus(directory, address, *more, rules=rules) as prometheus,
    ):
        wait_until(lambda: answers(f"http://{address}/metrics"), "the demo serves", 40)
        yield prometheus
