"""What one kind of input is, and what must hold for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from pg_pool_exporter.metrics.text_format import Blocks

Check = Callable[[bytes], Sequence[Blocks]]
"""Reads one input. Returns what is shown of it; raises only for a fault."""


@dataclass(frozen=True, kw_only=True)
class Harness:
    """One kind of input. `seeds` are valid, `tokens` mean something in its format."""

    name: str
    seeds: Sequence[bytes]
    tokens: Sequence[bytes]
    start: Callable[[], AbstractContextManager[Check]]
    openmetrics: bool = True
    """Whether it is shown as OpenMetrics, too."""
    max_bytes: int = 64 * 1024
    """Most bytes of a mutant."""


def check_error(error: Exception, *, most: int = 1000, secret: str | None = None) -> None:
    """Check an error of the room's own: a message of bounded length, without the secret."""
    text = str(error)
    assert len(text) < most, len(text)
    assert secret is None or secret not in text, "the secret is in the message"


def pure(check: Check) -> Callable[[], AbstractContextManager[Check]]:
    """A check that needs nothing around it."""

    @contextmanager
    def start() -> Iterator[Check]:
        yield check

    return start
