"""What is made of the diagnosis: once for all who ask, and without keeping a scrape waiting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

from pg_pool_exporter.analysis import Diagnosis, Doctor
from pg_pool_exporter.blocking.threads import Lane

T = TypeVar("T")


class Rendering(Generic[T]):
    """One representation of the latest diagnosis.

    `make` gets the diagnosis and the time, in seconds since the epoch. It runs in a thread, since
    a page of hundreds of pools takes a tenth of a second; so it must read frozen values only.
    """

    def __init__(self, doctor: Doctor, make: Callable[[Diagnosis, float], T], lane: Lane) -> None:
        self._doctor = doctor
        self._lane = lane
        self._make = make
        self._of: Diagnosis | None = None
        self._made: asyncio.Future[T] | None = None

    async def get(self) -> T:
        """The representation. Whoever asks while one is made gets that one: however many ask, a
        single thread works for them.
        """
        if self._made is None or self._made.done():
            diagnosis = self._doctor.diagnosis()
            if self._made is None or diagnosis is not self._of:
                self._of = diagnosis
                self._made = asyncio.ensure_future(
                    self._lane.run(partial(self._make, diagnosis, time.time()))
                )
        # Others wait for it too when one of them hangs up.
        return await asyncio.shield(self._made)
