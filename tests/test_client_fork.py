"""Forked processes: each shows its own numbers, or nothing, whatever was locked at the fork."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.client import run_app
from support.postgres import Cluster


@pytest.fixture(scope="module")
def reported(postgres: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the processes of apps/forks.py found."""
    directory: Path = tmp_path_factory.mktemp("sockets")
    return run_app("forks", postgres.dsn(), directory=directory, seconds=60)


_AFTER_ONE_CHECKOUT = {"acquired": 1, "active": 1, "leaked": 0, "waiting": 0, "queued": 0,
                       "connects": 1, "active_seconds": 0.0, "pid": True}  # fmt: skip


def test_a_child_that_uses_no_pool_stays_unseen_and_closes_what_it_inherited(reported: Any) -> None:
    unused = reported["unused"]
    assert (unused["sockets"], unused["listeners"]) == (["shop-0.sock"], 0)
    assert unused["readers"] == 0, "also those that the parent was serving"
    assert unused["numbers"] == {}


def test_a_child_shows_itself_with_its_first_checkout_from_an_inherited_pool(reported: Any) -> None:
    child = reported["uses_inherited"]
    assert child["sockets"] == ["shop-0.sock", "shop-1.sock"]
    assert (child["answers"], child["listeners"]) == (True, 1)
    during = child["during"]["inherited"]
    assert during.items() >= _AFTER_ONE_CHECKOUT.items(), "and none of its parent's numbers"


@pytest.mark.parametrize("which", ["makes_its_own", "grandchild"])
def test_a_child_and_a_grandchild_show_their_own_pools(reported: Any, which: str) -> None:
    assert reported[which]["answers"]
    own = reported[which]["own"]
    assert (own["acquired"], own["active"], own["process"], own["pid"]) == (1, 0, "1", True)


def test_a_child_that_makes_its_pool_again_gives_it_the_name_of_the_inherited_one(
    reported: Any,
) -> None:
    assert list(reported["makes_it_again"]["before"]) == ["inherited"]
    assert list(reported["makes_it_again"]["both used"]) == ["inherited-2", "inherited"]


def test_the_parent_goes_on_as_if_nothing_had_happened(reported: Any) -> None:
    parent = reported["parent"]
    numbers = parent["numbers"]["inherited"]
    assert (numbers["acquired"], numbers["leaked"], numbers["process"]) == (8, 1, "0")
    assert (parent["answers"], parent["multiprocessing"]) == (True, 0)
