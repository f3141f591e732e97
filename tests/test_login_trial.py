"""A login beside the held session, where nobody else has logged in for a while."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest

from pg_pool_exporter.analysis.findings.finding import Cause, Severity
from pg_pool_exporter.sources.connection.login_trial import TRIAL_SECONDS, LoginTrial
from support.both_sides import BothSides


class Server:
    """Counts logins; they hang until `answers` is set, and fail with `error`."""

    def __init__(self) -> None:
        self.logins = self.closed = 0
        self.answers = asyncio.Event()
        self.error: Exception | None = None
        self.now = 0.0

    async def connect(self) -> Any:
        self.logins += 1
        await self.answers.wait()
        if self.error is not None:
            raise self.error
        return self

    async def close(self) -> None:
        self.closed += 1

    def trial(self) -> LoginTrial:
        return LoginTrial(self.connect, lambda: self.now)


async def let_run() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_nobody_logs_in_for_a_minute_and_one_login_is_tried() -> None:
    async def main() -> None:
        server = Server()
        trial = server.trial()
        assert trial.follow(TRIAL_SECONDS - 1) == TRIAL_SECONDS - 1
        await let_run()
        assert server.logins == 0
        server.answers.set()
        trial.follow(TRIAL_SECONDS)
        await let_run()
        assert (server.logins, server.closed) == (1, 1), "its session ends at once"
        server.now = 5
        assert trial.follow(TRIAL_SECONDS + 5) == 5, "it was a login, too"
        server.now = TRIAL_SECONDS
        trial.follow(2 * TRIAL_SECONDS)
        await let_run()
        assert server.logins == 2
        await trial.close()

    asyncio.run(main())


def test_a_login_that_hangs_is_the_only_one() -> None:
    async def main() -> None:
        server = Server()
        trial = server.trial()
        for now in range(0, 600, 10):
            server.now = now
            trial.follow(1000.0 + now)
            await let_run()
        assert server.logins == 1
        assert trial.waiting == server.now
        server.answers.set()
        await let_run()
        assert trial.waiting is None
        assert trial.follow(9999.0) == 0
        await trial.close()

    asyncio.run(main())


@pytest.mark.parametrize("hangs", [True, False], ids=["hangs", "refused"])
def test_it_ends_with_its_source(hangs: bool) -> None:
    async def main() -> None:
        server = Server()
        server.error = psycopg.OperationalError("no")
        if not hangs:
            server.answers.set()
        trial = server.trial()
        trial.follow(1000.0)
        await let_run()
        await trial.close()
        assert trial.waiting is None
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


@pytest.mark.parametrize(("waiting", "hangs"), [(None, False), (9.9, False), (10.0, True)])
def test_a_server_that_accepts_no_login_is_a_problem(waiting: float | None, hangs: bool) -> None:
    sides = BothSides()
    sides.server({"idle": [1.0]}, login_waiting=waiting, last_login=100.0)
    found = [one for one in sides.analysis.findings if one.cause is Cause.LOGINS_HANG]
    assert [(one.severity, one.subject.server) for one in found] == (
        [(Severity.PROBLEM, "main")] if hangs else []
    )
