"""HikariCP's MBeans through Jolokia, whose answers are those of a server in the test."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from pg_pool_exporter.config import AppConfig
from pg_pool_exporter.discovery import app_targets
from pg_pool_exporter.metrics.series import of_pools
from pg_pool_exporter.metrics.text_format import blocks, page
from pg_pool_exporter.model import PoolId, PoolInfo, PoolSample, Snapshot
from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.pages.jolokia import JolokiaSource, hikari_pools
from pg_pool_exporter.sources.pages.target_defaults import TargetDefaults
from support import pages
from support.pages import Peer, head, serving

DEFAULTS = TargetDefaults(app="orders", process="orders:8778")
POOL = {"IdleConnections": 3, "ActiveConnections": 7, "ThreadsAwaitingConnection": 2}
CONFIG = {"MaximumPoolSize": 10, "MinimumIdle": 5}


def answered(value: object, status: int = 200, **more: object) -> bytes:
    """An answer as Jolokia gives it."""
    request = {"type": "read", "mbean": "com.zaxxer.hikari:type=Pool*,*"}
    return json.dumps(
        {"request": request, "value": value, "status": status, "timestamp": 1732442400, **more}
    ).encode()


def sample(pool: str, **fields: Any) -> PoolSample:
    return PoolSample(
        key=PoolId("orders", pool, "orders:8778"),
        info=PoolInfo(client="HikariCP", source="jolokia"),
        **fields,
    )


WHOLE = {"idle": 3, "active": 7, "waiting": 2, "max": 10, "min": 5}


@pytest.mark.parametrize(
    ("mbeans", "expected"),
    [
        pytest.param(
            {"Pool (main)": POOL, "PoolConfig (main)": CONFIG}, {"main": WHOLE}, id="by default"
        ),
        pytest.param(
            {"Pool,name=main": POOL, "PoolConfig,name=main": CONFIG},
            {"main": WHOLE},
            id="with hikaricp.jmx.register2.0",
        ),
        pytest.param(
            {
                "Pool (a)": POOL,
                "Pool (b (2))": POOL | {"ActiveConnections": 0},
                "PoolConfig (b (2))": CONFIG,
                "PoolConfig (a)": CONFIG,
            },
            {"a": WHOLE, "b (2)": WHOLE | {"active": 0}},
            id="several pools",
        ),
        pytest.param({"Pool (a)": POOL}, {"a": {"idle": 3, "active": 7, "waiting": 2}}, id="half"),
        pytest.param(
            {"PoolConfig (a)": {"MaximumPoolSize": 2147483647, "MinimumIdle": -1}},
            {"a": {}},
            id="no limit, and not set yet",
        ),
        pytest.param(
            {"Pool (a)": {"IdleConnections": True, "ActiveConnections": "7", "More": [1]}},
            {"a": {}},
            id="other values",
        ),
        pytest.param(
            {"Pool (jdbc:postgresql://u:hunter2@db:5432/shop)": POOL},
            {"u@db:5432/shop": {"idle": 3, "active": 7, "waiting": 2}},
            id="named by a connection string",
        ),
    ],
)
def test_pools_are_read(mbeans: dict[str, Any], expected: dict[str, dict[str, float]]) -> None:
    document = answered({f"com.zaxxer.hikari:type={name}": of for name, of in mbeans.items()})
    found = hikari_pools(document, DEFAULTS)
    assert {s.key.pool: s for s in found}.keys() == expected.keys()
    for pool in found:
        wanted = sample(pool.key.pool, **expected[pool.key.pool])
        assert {f: getattr(pool, f) for f in WHOLE} == {f: getattr(wanted, f) for f in WHOLE}
        assert "hunter2" not in repr(pool)


@pytest.mark.parametrize("recorded", ["jolokia", "jolokia-register2"])
def test_recorded_answers_are_read(recorded: str) -> None:
    """Of Jolokia's JVM agent 2.1.1 with HikariCP 5.1.0, in both forms of the MBeans' names."""
    document = (Path(__file__).parent / f"pages/{recorded}.json").read_bytes()
    found = {pool.key.pool: pool for pool in hikari_pools(document, DEFAULTS)}
    values = {"idle": 3, "active": 1, "waiting": 0, "max": 4, "min": 4}
    assert found == {name: sample(name, **values) for name in ("first", "second (2)")}


BAD = [
    (b"", "protocol", "not Jolokia's"),
    (b"<html>", "protocol", "not Jolokia's"),
    (b"[]", "protocol", "not Jolokia's"),
    (b'{"status": 200}', "protocol", "not Jolokia's"),
    (b'{"status": 200, "value": 7}', "protocol", "not Jolokia's"),
    (b"[" * 100_000, "protocol", "not Jolokia's"),
    (b'{"status": ' + b"9" * 10_000 + b"}", "protocol", "not Jolokia's"),
    (
        answered(None, 404, error_type="javax.management.InstanceNotFoundException"),
        "protocol",
        "registerMbeans=true",
    ),
    (answered(None, 403), "permission", "policy"),
    (
        answered({f"com.zaxxer.hikari:type=Pool ({n})": {} for n in range(2001)}),
        "too_large",
        "more than 2000 MBeans",
    ),
    (answered(None, 500, error="s3cret", stacktrace="s3cret"), "protocol", "with an error"),
    (answered({"java.lang:type=s3cret": {}}), "protocol", "not HikariCP's"),
    (answered({"com.zaxxer.hikari:type=Pool (s3cret)": 7}), "protocol", "not HikariCP's"),
]


@pytest.mark.parametrize(("document", "reason", "said"), BAD)
def test_any_other_answer_fails_with_its_reason(document: bytes, reason: str, said: str) -> None:
    with pytest.raises(PollError, match=said) as caught:
        hikari_pools(document, DEFAULTS)
    assert caught.value.reason == reason
    assert "s3cret" not in str(caught.value)


class Agent:
    """A server that answers like a Jolokia agent behind basic authentication."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, Any]] = []

    async def __call__(self, peer: Peer) -> None:
        while True:
            asked = await peer.request()
            length = int(asked.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            self.asked.append((asked, json.loads(await peer.body(length))))
            if b"Authorization: Basic cHJvbTpodW50ZXIy\r\n" not in asked:
                await peer.send(head("Content-Length: 0", status="401 Unauthorized"))
                continue
            body = answered(
                {
                    "com.zaxxer.hikari:type=Pool (main)": POOL,
                    "com.zaxxer.hikari:type=PoolConfig (main)": CONFIG,
                }
            )
            await peer.send(head("Content-Type: text/plain; charset=utf-8",
                                 f"Content-Length: {len(body)}") + body)  # fmt: skip


@pytest.mark.parametrize("url", ["", "/jolokia", "/jolokia/"])
def test_an_application_is_read_through_its_agent(tmp_path: Path, url: str) -> None:
    """The agent answers 404 without the slash at the end."""
    password = tmp_path / "password"
    agent = Agent()

    async def scenario() -> Snapshot:
        async with serving(agent) as served:
            app = AppConfig.model_validate(
                {
                    "name": "orders",
                    "format": "jolokia",
                    "max_connections": 99,
                    "targets": [served.url.replace("/metrics", url)],
                    "basic_auth": {"username": "prom", "password_file": write(password, "wrong")},
                }
            )
            [target] = app_targets(app, app.targets, {})
            source = target.source()
            assert isinstance(source, JolokiaSource)
            with pytest.raises(PollError, match="status 401") as caught:
                await source.poll()
            assert caught.value.reason == "auth"
            write(password, "hunter2")
            snapshot = await source.poll()
            await source.close()
            return snapshot

    snapshot = asyncio.run(scenario())
    assert snapshot.address == "127.0.0.1"
    [pool] = snapshot.pools
    assert {field: getattr(pool, field) for field in WHOLE} == WHOLE
    assert pool.info == PoolInfo(client="HikariCP", source="jolokia", application="orders")
    request_line = agent.asked[1][0].split(b"\r\n")[0]
    assert request_line == b"POST /jolokia/ HTTP/1.1"
    assert agent.asked[1][1]["mbean"] == "com.zaxxer.hikari:type=Pool*,*"


async def let_go_as_it_is_asked_again(peer: Peer) -> None:
    """Answer once, and close the kept connection just when the next request is under way."""
    for last in (False, True):
        asked = await peer.request()
        await peer.body(int(asked.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]))
        if last:
            peer.reset()
            return
        body = answered({"com.zaxxer.hikari:type=Pool (main)": POOL})
        await peer.send(head("Content-Type: application/json", f"Content-Length: {len(body)}"))
        await peer.send(body)


def test_an_agent_that_lets_go_of_the_connection_meanwhile_is_asked_anew() -> None:
    """As a proxy does whose idle connections live as long as the exporter waits."""

    async def scenario() -> list[Snapshot]:
        async with serving(let_go_as_it_is_asked_again) as served:
            source = JolokiaSource(served.url, DEFAULTS)
            try:
                return [await source.poll() for _ in range(3)]
            finally:
                await source.close()

    assert [len(snapshot.pools) for snapshot in asyncio.run(scenario())] == [1, 1, 1]


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_at_most_so_many_pools_have_a_name() -> None:
    document = answered({f"com.zaxxer.hikari:type=Pool (p{n})": POOL for n in range(150)})

    async def scenario() -> Snapshot:
        async with serving(pages.answer(document, "Content-Type: application/json")) as served:
            source = JolokiaSource(served.url, DEFAULTS)
            try:
                return await source.poll()
            finally:
                await source.close()

    snapshot = asyncio.run(scenario())
    assert (len(snapshot.pools), snapshot.folded) == (100, 50)


_json = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner),
    max_leaves=10,
)
_names = st.builds(
    "com.zaxxer.hikari:type={}{}".format,
    st.sampled_from(["Pool", "PoolConfig"]),
    st.builds(" ({})".format, st.text(max_size=250)) | st.builds(",name={}".format, st.text()),
)
_attributes = st.dictionaries(st.sampled_from([*POOL, *CONFIG]), _json)


@pytest.mark.slow
@given(st.dictionaries(_names | st.text(max_size=9), _attributes | _json), _json)
@settings(max_examples=100, deadline=None)
def test_whatever_the_answer_it_is_read_to_valid_output_or_fails_as_a_poll(
    value: Any, other: Any
) -> None:
    for document in (answered(value), answered(other), json.dumps(other).encode()):
        try:
            pools = hikari_pools(document, DEFAULTS)
        except PollError:
            continue
        page([blocks(of_pools(pools))]).encode()
        assert len({pool.key for pool in pools}) == len(pools)
