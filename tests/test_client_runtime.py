"""Whole applications: with gevent, and how they end."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.client import run_app
from support.postgres import Cluster


def test_gevent_neither_dead_locks_nor_is_held_up(postgres: Cluster, tmp_path: Path) -> None:
    reported = run_app("gevent_shop", postgres.dsn(), directory=tmp_path)
    assert (reported["acquired"], reported["returned"], reported["leaked"]) == ([1001], [1000], [1])
    assert reported["queued"][0] > 0
    assert reported["longest pause"] < 1
    assert reported["sockets left"] == []


@pytest.mark.parametrize("how", ["return", "exit", "kept", "threads", "closed"])
def test_an_application_ends_as_ever_and_leaves_no_socket(
    postgres: Cluster, tmp_path: Path, how: str
) -> None:
    run_app("ends", postgres.dsn(), how, directory=tmp_path)
    assert list(tmp_path.glob("*.sock")) == []
