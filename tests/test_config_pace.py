"""Intervals that are too long for the leak threshold are warned of, because they prove no leak."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pg_pool_exporter.config import Config
from pg_pool_exporter.config.pace import too_slow

DSN = "host=db.example"


def orders(**more: Any) -> dict[str, Any]:
    return {"name": "orders", "targets": ["http://orders:8080/metrics"], **more}


def main(**more: Any) -> dict[str, Any]:
    return {"name": "main", "dsn": DSN, **more}


def warned(**file: Any) -> list[tuple[str, ...]]:
    """What is polled too seldom, its interval, what that is compared with, and that threshold."""
    sentences = too_slow(Config.model_validate({"socket_dir": "", **file}))
    parts = r"(.*): an interval of (.*) s is too long for (.*) of (.*) s;"
    return [found.groups() for one in sentences if (found := re.match(parts, one))]


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        pytest.param({"apps": [orders()], "servers": [main()]}, [], id="the defaults"),
        pytest.param({"apps": [orders(interval="15s")]}, [], id="four polls in the threshold"),
        pytest.param(
            {"apps": [orders(interval="16s")]},
            [("app orders", "16", "its leak_after", "60")],
            id="a page",
        ),
        pytest.param(
            {"apps": [orders(leak_after="10s")], "servers": [main()]},
            [
                ("app orders", "5", "its leak_after", "10"),
                ("server main", "5", "the leak_after of app orders", "10"),
            ],
            id="a short threshold, both sides",
        ),
        pytest.param(
            {"apps": [{"name": "orders", "interval": "1m", "timeout": "3s"}]}, [],
            id="an app without pages has nothing to poll",
        ),
        pytest.param(
            {"apps": [orders(server="other", leak_after="2m")],
             "servers": [main(interval="30s"), {**main(interval="31s"), "name": "other"}]},
            [("server other", "31", "the leak_after of app orders", "120")],
            id="a server is compared with the apps that may lead to it",
        ),
        pytest.param({"servers": [main(interval="1m")]}, [], id="a server without any pool"),
        pytest.param(
            {"socket_dir": "/run/pools", "processes": {"interval": "20s"},
             "servers": [main(interval="30s")]},
            [("processes", "20", "the default leak_after", "60"),
             ("server main", "30", "the default leak_after", "60")],
            id="processes with a socket",
        ),
    ],
)  # fmt: skip
def test_what_is_polled_too_seldom_is_reported(
    file: dict[str, Any], expected: list[tuple[str, ...]]
) -> None:
    assert warned(**file) == expected


def test_the_sentence_says_what_to_do() -> None:
    config = Config.model_validate({"socket_dir": "", "apps": [orders(interval="30s")]})
    (sentence,) = too_slow(config)
    assert "pg_pool_unreturned_connections can be missing" in sentence
    assert "at most 15 s, or a longer leak_after" in sentence
