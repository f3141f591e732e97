"""Lists of addresses in Prometheus' format: what is in them, and what is wrong with them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from fnmatch import fnmatchcase
from threading import Thread

import pytest

from pg_pool_exporter.config import AppConfig
from pg_pool_exporter.discovery.address_list import Address, ListError, from_json, from_yaml
from pg_pool_exporter.discovery.page_urls import url_of
from support.busy import within

TWO_GROUPS = """
- targets: ["orders-1:8080", 'orders-2:8080']
  labels:
    __metrics_path__: /actuator/prometheus
    zone: a
- targets: [orders-3:8080]
"""


def test_the_same_list_in_json_and_yaml() -> None:
    labels = {"__metrics_path__": "/actuator/prometheus", "zone": "a"}
    values = [
        {"targets": ["orders-1:8080", "orders-2:8080"], "labels": labels},
        {"targets": ["orders-3:8080"]},
    ]
    expected = [
        Address("orders-1:8080", labels, "[0].targets[0]"),
        Address("orders-2:8080", labels, "[0].targets[1]"),
        Address("orders-3:8080", {}, "[1].targets[0]"),
    ]
    assert from_json(json.dumps(values).encode()) == expected
    assert from_yaml(TWO_GROUPS.encode()) == expected


@pytest.mark.parametrize("content", [b"[]", b'[{"targets": [], "labels": null}]'])
def test_an_empty_list_is_a_list(content: bytes) -> None:
    assert from_json(content) == []
    assert from_yaml(content) == []
    assert from_yaml(b"# nothing yet\n") == []


BOMB = b"- &a [x, x, x, x, x, x, x, x, x, x]\n" + b"".join(
    b"- &%c [*%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c]\n" % (name, *[name - 1] * 10)
    for name in b"bcdefgh"
)


@pytest.mark.parametrize(
    ("read", "content", "message"),
    [
        (from_json, b"", "is not valid JSON (line 1)"),
        (from_json, b'[\n{"targets": [}]', "is not valid JSON (line 2)"),
        (from_json, b"\xff\xfe\xfd", "is not UTF-8 text, or holds an impossible number"),
        (from_json, b"[" * 100_000, "is nested too deeply"),
        (from_json, b"9" * 10_000, "is not UTF-8 text, or holds an impossible number"),
        (from_json, b"{}", "is wrong: must be a list"),
        (from_json, b"null", "is wrong: must be a list"),
        (from_json, b"[17]", "is wrong at [0]: must be a mapping of keys to values"),
        (from_json, b"[{}]", "is wrong at [0].targets: is required"),
        (from_json, b'[{"targets": "orders:80"}]', "is wrong at [0].targets: must be a list"),
        (from_json, b'[{"targets": [17]}]',
         "is wrong at [0].targets[0]: must be text (put it in quotes)"),
        (from_json, b'[{"targets": [], "labels": {"a": 1}}]',
         "is wrong at [0].labels.a: must be text (put it in quotes)"),
        (from_json, b'[{"targets": [], "lables": {}, "name": 1}]',
         ("is wrong at [0].lables: is an unknown key; did you mean labels? (known keys: targets, "
          "labels) (and 1 more mistake)")),
        (from_json, b'[{"targets": ["a:1"], "targets": []}]', "has a key twice .*"),
        (from_yaml, b"- targets: [a:1]\n  targets: []\n", "has a key twice .* (line 2)"),
        (from_yaml, b"- targets: [\n", "is not valid YAML: .* (line 2)"),
        (from_yaml, b"- targets: [a: b: c]\n", "is not valid YAML: .* (line 1)"),
        (from_yaml, b"- !!python/object/apply:os.system [id]\n", "must not have tags .* (line 1)"),
        (from_yaml, b"- !!float x\n", "must not have tags .* (line 1)"),
        (from_yaml, b"- !!timestamp x\n", "must not have tags .* (line 1)"),
        (from_yaml, b"- {targets: {? [a] : b}}\n", "must have text as keys (line 1)"),
        (from_yaml, b"\x00", "holds a control character (line 1)"),
        (from_yaml, b"\xff", "is not UTF-8 text (line 1)"),
        (from_yaml, b"[" * 200_000, "is nested too deeply"),
        (from_yaml, b"- " * 200_000, "is nested too deeply (line 1)"),
        (from_yaml, b"- 1:1:1\n" * 25_000, "is wrong at [0]: must be a mapping .*"),
        (from_yaml, b"[" + b"a," * 400_000, "has more than 100000 values"),
        (from_yaml, BOMB, "has more than 100000 values"),
        (from_yaml, b"&a [*a]", "has an alias .* (line 1)"),
        (from_yaml, b"orders:8080", "is wrong: must be a list"),
    ],
    ids=lambda value: getattr(value, "__name__", repr(value)[:40]),
)  # fmt: skip
def test_what_is_wrong_with_a_list_is_reported_by_its_place(
    read: Callable[[bytes], list[Address]], content: bytes, message: str
) -> None:
    started = time.monotonic()
    with pytest.raises(ListError) as error:
        read(content)
    assert fnmatchcase(str(error.value), message.replace("[", "[[]").replace(".*", "*"))
    assert time.monotonic() - started < within(2)


@pytest.mark.parametrize(
    "content",
    [
        b"[" + b"1," * 500_000 + b"1]",
        b"[" + b"{}," * 300_000 + b"{}]",
        b'[{"targets":[' + b"1," * 500_000 + b"1]}]",
    ],
    ids=["no groups", "no targets", "no addresses"],
)
def test_half_a_million_mistakes_stop_no_other_thread(content: bytes) -> None:
    def read() -> None:
        with pytest.raises(ListError):
            from_json(content)

    reader = Thread(target=read)
    longest, last = 0.0, time.monotonic()
    reader.start()
    while reader.is_alive():
        time.sleep(0.001)
        longest, last = max(longest, (now := time.monotonic()) - last), now
    assert longest < within(0.3)


def test_nothing_that_stands_in_a_list_is_repeated() -> None:
    for content in (b'[{"targets": [["u:hunter2@h"]]}]', b'[{"targets": ["hunter2]}]'):
        with pytest.raises(ListError) as error:
            from_json(content)
        assert "hunter2" not in str(error.value)
    assert "hunter2" not in repr(Address("u:hunter2@h", {"__param_token": "hunter2"}))


APP = AppConfig(name="orders")
ACTUATOR = AppConfig(name="orders", scheme="https", metrics_path="/actuator/prometheus")


@pytest.mark.parametrize(
    ("app", "text", "labels", "url"),
    [
        (APP, "orders:8080", {}, "http://orders:8080/metrics"),
        (APP, "10.0.0.1", {}, "http://10.0.0.1/metrics"),
        (APP, "[::1]:8080", {}, "http://[::1]:8080/metrics"),
        (ACTUATOR, "orders:8080", {}, "https://orders:8080/actuator/prometheus"),
        (ACTUATOR, "orders:8080", {"__scheme__": "http", "__metrics_path__": "/m"},
         "http://orders:8080/m"),
        (ACTUATOR, "orders:8080", {"__scheme__": "", "__metrics_path__": ""},
         "https://orders:8080/actuator/prometheus"),
        (APP, "orders:8080", {"__metrics_path__": "m?x#y z"}, "http://orders:8080/m%3Fx%23y%20z"),
        (APP, "orders:8080", {"__param_b": "2&3", "__param_a": "1", "__address__": "x", "job": "y"},
         "http://orders:8080/metrics?a=1&b=2%263"),
    ],
)  # fmt: skip
def test_an_address_becomes_the_url_of_a_page(
    app: AppConfig, text: str, labels: dict[str, str], url: str
) -> None:
    assert url_of(Address(text, labels), app) == url


@pytest.mark.parametrize(
    ("text", "labels", "message"),
    [
        ("http://orders:8080/metrics", {}, "must be HOST:PORT, without scheme and path"),
        ("orders:8080/metrics", {}, "must be HOST:PORT, without scheme and path"),
        ("", {}, "must be HOST:PORT, without scheme and path"),
        ("orders 1:80", {}, "must be HOST:PORT, without scheme and path"),
        ("orders\\:80", {}, "must be HOST:PORT, without scheme and path"),
        ("admin:hunter2@orders:80", {}, "must not hold a user or a password"),
        ("orders:0", {}, "must be a URL, like http://orders:8080/metrics"),
        ("orders:http", {}, "must be a URL, like http://orders:8080/metrics"),
        ("orders:99999", {}, "must be a URL, like http://orders:8080/metrics"),
        ("[::1", {}, "must be a URL, like http://orders:8080/metrics"),
        ("o\x00:80", {}, "must be a URL of at most 2048 printable characters"),
        ("o" * 3000, {}, "must be a URL of at most 2048 printable characters"),
        ("orders:80", {"__scheme__": "file"}, "must have http or https as its __scheme__"),
    ],
)
def test_what_is_no_address_is_refused_without_being_repeated(
    text: str, labels: dict[str, str], message: str
) -> None:
    with pytest.raises(ValueError, match="must") as error:
        url_of(Address(text, labels), APP)
    assert str(error.value) == message
