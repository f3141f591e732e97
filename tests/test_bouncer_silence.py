"""Since when a bouncer's clients do nothing, and what follows for the pools behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from pg_pool_exporter.model import (
    AppOnServer,
    BouncerOrigin,
    BouncerPool,
    ClientGroup,
    Hold,
    PoolInfo,
    TargetId,
)
from pg_pool_exporter.sources.pgbouncer.folding import FOLDED
from pg_pool_exporter.sources.pgbouncer.silence import Silence
from support.both_sides import INFO, INTERVAL, BothSides

Row = dict[str, str | None]


def client(sent: str, wait: str = "0", pointer: str = "0x1", connected: str = "10:00:00") -> Row:
    return {
        "database": "shop", "ptr": pointer, "connect_time": connected, "request_time": sent,
        "wait": "0", "wait_us": wait,
    }  # fmt: skip


def answer(now: str, *clients: Row) -> list[Row]:
    return [{"database": "pgbouncer", "ptr": "0x9", "request_time": now}, *clients]


IDLE = answer("10:00:05", client("10:00:01"))


@pytest.mark.parametrize(
    ("answers", "idle_for"),
    [
        pytest.param([IDLE], 0.0, id="when its last request ended is not shown"),
        pytest.param([IDLE, answer("10:00:10", client("10:00:01"))], 4.0, id="sent nothing since"),
        pytest.param([IDLE, answer("10:00:10", client("10:00:06"))], 0.0, id="sent something"),
        pytest.param([IDLE, answer("10:00:10", client("10:00:06", "7"))], None, id="works"),
        pytest.param(
            [answer("10:00:05", client("10:00:01", "7")), answer("10:00:10", client("10:00:01"))],
            0.0, id="its request has just ended",
        ),
        pytest.param(
            [answer("10:00:01", client("10:00:01")), answer("10:00:10", client("10:00:01"))],
            0.0, id="it may have sent more in that second",
        ),
        pytest.param(
            [IDLE, answer("10:00:10", client("10:00:01", connected="10:00:08"))],
            0.0, id="another client at the same place",
        ),
        pytest.param([IDLE, IDLE, IDLE], 9.0, id="at three answers"),
    ],
)  # fmt: skip
def test_a_client_is_silent_from_the_first_answer_without_request_on(
    answers: Sequence[list[Row]], idle_for: float | None
) -> None:
    """Answers come every five seconds, each a second after it was asked for."""
    silence = Silence()
    for number, rows in enumerate(answers):
        found = silence.idle_for(rows, "pgbouncer", 5.0 * number, 5.0 * number + 1)
    assert found.get("0x1") == idle_for


KEY = AppOnServer("", "orders", ("edge",))
THROUGH = replace(INFO, port="6432")


class Watched(BothSides):
    """A pool with one connection in it and one out, and the clients of its bouncer."""

    def __init__(self, seconds: float = 70.0, **shown: Any) -> None:
        super().__init__()
        until = self.now + seconds
        while self.now <= until:
            self.poll(**shown)

    def poll(
        self,
        idle_for: Sequence[float] = (),
        waiting_for: Sequence[float] = (),
        holds: Sequence[Hold] = (),
        info: PoolInfo = THROUGH,
        **bouncer: Any,
    ) -> None:
        self.pool(1, 1, info=info)
        group = ClientGroup(counts={}, idle_for=tuple(idle_for), waiting_for=tuple(waiting_for))
        values: dict[str, Any] = {
            "clients_read": True, "mode": "transaction", "holds": tuple(holds),
            "origins": {BouncerOrigin("orders", ""): group}, **bouncer,
        }  # fmt: skip
        self.bouncer(0, **values)
        self.now += INTERVAL

    @property
    def unreturned(self) -> float | None:
        found: float | None = self.evidence("unreturned").get(KEY)
        return found


def hold(idle_for: float = 0.0, request: float | None = None) -> Hold:
    """A client that has a connection to a server which nobody watches."""
    return Hold(
        "orders", "", "1", idle_for, "10.9.9.9", "5432", 7, "orders", "", idle_for, request
    )  # fmt: skip


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        pytest.param({"idle_for": [300.0, 200.0]}, 1, id="one of both is checked out"),
        pytest.param({"idle_for": [300.0, 0.0]}, 0, id="the one in the pool may be the silent one"),
        pytest.param({"idle_for": [200.0], "waiting_for": [90.0]}, 0, id="waits for the server"),
        pytest.param({"idle_for": [200.0], "holds": [hold(request=90.0)]}, 0, id="works"),
        pytest.param({"idle_for": [200.0], "holds": [hold(200.0)]}, 1, id="in a transaction"),
        pytest.param(
            {"idle_for": [200.0], "holds": [hold(200.0)], "mode": "session"}, 1,
            id="in session mode",
        ),
    ],
)  # fmt: skip
def test_a_client_that_does_nothing_is_as_a_session_that_does_nothing(
    shown: dict[str, Any], expected: float
) -> None:
    assert Watched(**shown).unreturned == expected


TWO: dict[str, Any] = {"idle_for": [300.0, 200.0]}


@pytest.mark.parametrize(
    "spoilt",
    [
        pytest.param({"clients_read": False}, id="its clients are not read"),
        pytest.param({"paused": True}, id="it reads no requests"),
        pytest.param({"idle_for": [300.0]}, id="another bouncer has a client of the pool"),
        pytest.param({"shares_port": True}, id="others may listen on its port"),
        pytest.param({"info": replace(THROUGH, application="")}, id="no application_name"),
        pytest.param({"info": replace(THROUGH, application="café")}, id="a name shown otherwise"),
        pytest.param({"info": replace(THROUGH, port="6433")}, id="another port"),
        pytest.param(
            {"beside": {FOLDED: BouncerPool(clients_read=True)}}, id="pools are added up"
        ),
    ],
)  # fmt: skip
def test_it_is_absent_where_it_would_not_be_sound(spoilt: dict[str, Any]) -> None:
    assert Watched(**TWO).unreturned == 1
    assert Watched(**{**TWO, **spoilt}).unreturned is None


def test_two_bouncers_at_one_address_are_read_together_or_not_at_all() -> None:
    sides = Watched(seconds=0, **TWO)
    both = AppOnServer("", "orders", ("edge", "other"))
    for _ in range(16):
        sides.poll(idle_for=[300.0])
        sides.now -= INTERVAL - 1
        sides.poll(idle_for=[200.0], name="other")
        sides.now -= 1
    assert sides.evidence("unreturned") == {both: 1}
    for _ in range(4):
        sides.poll(idle_for=[300.0])
    assert sides.evidence("unreturned") == {}


def test_a_bouncer_that_is_gone_takes_along_what_was_known_of_it() -> None:
    sides = Watched(**TWO)
    sides.store.remove(TargetId("bouncer", "edge"))
    assert sides.evidence("unreturned") == {}
