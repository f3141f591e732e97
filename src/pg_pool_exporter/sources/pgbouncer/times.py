"""Times of an admin console, which are local to a host whose zone is unknown."""

from __future__ import annotations

from datetime import datetime

from pg_pool_exporter.sources.pgbouncer.answers import Answers

# Where the abbreviation of the zone follows a local time.
_ZONE = len("2026-11-24 10:06:40")


class ConsoleClock:
    """The console's present: the newest request of an active socket, which is our own.

    When summer time begins or ends, times before have another abbreviation of the zone than the
    present: how long ago they were is unknown.
    """

    def __init__(self, answers: Answers) -> None:
        times = (row.get("request_time") for row in answers.active_sockets or ())
        text = max((time for time in times if time), default="")
        self._zone = text[_ZONE:]
        self._now = _local_time(text)

    def age(self, time: str | None) -> float | None:
        """Seconds since a time, in whole ones; None when unknown."""
        then = _local_time(time) if time and time[_ZONE:] == self._zone else None
        if then is None or self._now is None:
            return None
        return max(0.0, (self._now - then).total_seconds())


def _local_time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text[:_ZONE])
    except ValueError:
        return None
    return None if found.tzinfo is not None else found
