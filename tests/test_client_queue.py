"""The queue of waiting requests, in the place of the pool's own."""

from __future__ import annotations

import time

from pg_pool_exporter.client.libraries.psycopg_queue import TimedQueue


def test_a_request_that_was_served_is_forgotten() -> None:
    queue = TimedQueue([object()], time.monotonic)
    for _ in range(3):
        queue.append(object())
        queue.popleft()
    assert len(queue._since) == len(queue) == 1
