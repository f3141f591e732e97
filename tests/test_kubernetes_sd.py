"""Pods found through a real API server: watched, with its failures."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from pg_pool_exporter.config import AppConfig, KubernetesSdConfig
from pg_pool_exporter.discovery import kubernetes_sd
from pg_pool_exporter.discovery.address_list import Address, ListError
from pg_pool_exporter.discovery.kubernetes_sd import KubernetesDiscoverer
from pg_pool_exporter.discovery.tasks import DiscoveryTasks
from support.kubernetes import ADMIN, ApiServer, api_server, program

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.xdist_group("cluster")]

METRICS = {"name": "metrics", "containerPort": 9187}
_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("api")) as server:
        yield server


@pytest.fixture
def namespace(api: ApiServer) -> str:
    """A new namespace for each test."""
    name = f"shop-{next(_NUMBERS)}"
    api.make_namespace(name)
    return name


@pytest.fixture
def token_file(api: ApiServer, namespace: str, tmp_path: Path) -> Path:
    """The token of a service account that may watch the pods of the namespace, and no others."""
    api.make_account("exporter", namespace)
    api.allow("exporter", namespace, namespace)
    file = tmp_path / "token"
    file.write_text(api.token("exporter", namespace))
    return file


def _config(api: ApiServer, token_file: Path, **keys: object) -> KubernetesSdConfig:
    settings = {
        "api_server": api.url,
        "bearer_token_file": str(token_file),
        "tls_config": {"ca_file": str(api.ca_file)},
        "label_selector": "app=orders",
        **keys,
    }
    given = {key: value for key, value in settings.items() if value is not None}
    return KubernetesSdConfig.model_validate(given)


def _discoverer(
    api: ApiServer, token_file: Path, namespace: str, **keys: object
) -> KubernetesDiscoverer:
    return KubernetesDiscoverer(_config(api, token_file, **keys), namespace)


async def _texts(discoverer: KubernetesDiscoverer) -> list[str]:
    return [one.text for one in (await discoverer.discover()).addresses]


async def _until(discoverer: KubernetesDiscoverer, expected: list[str]) -> None:
    """Discover until the addresses are the expected ones."""
    seen: list[str] = []
    async with asyncio.timeout(30):
        while (seen := await _texts(discoverer)) != expected:
            pass
    assert seen == expected


ORDERS = {"app": "orders"}


@pytest.mark.parametrize(
    ("annotations", "ports", "keys", "address"),
    [
        ({}, (METRICS,), {}, Address("127.0.0.2:9187")),
        ({}, ({"name": "http", "containerPort": 8080},), {}, Address("127.0.0.2:8080")),
        ({}, ({"name": "http", "containerPort": 8080}, METRICS), {}, Address("127.0.0.2:9187")),
        (
            {},
            ({"name": "http", "containerPort": 8080}, METRICS),
            {"port": "http"},
            Address("127.0.0.2:8080"),
        ),
        ({"prometheus.io/port": "9000"}, (METRICS,), {}, Address("127.0.0.2:9000")),
        ({"prometheus.io/port": "9000"}, (METRICS,), {"port": 81}, Address("127.0.0.2:81")),
        ({}, (), {"port": 81}, Address("127.0.0.2:81")),
        (
            {"prometheus.io/path": "/pools", "prometheus.io/scheme": "https"},
            (METRICS,),
            {},
            Address(
                "127.0.0.2:9187", {"__scheme__": "https", "__metrics_path__": "/pools"}
            ),
        ),
    ],
)  # fmt: skip
def test_the_address_of_a_pod(
    api: ApiServer,
    token_file: Path,
    namespace: str,
    annotations: Mapping[str, str],
    ports: tuple[Mapping[str, object], ...],
    keys: Mapping[str, object],
    address: Address,
) -> None:
    api.make_pod(
        "orders", "127.0.0.2", namespace=namespace, labels=ORDERS,
        annotations=annotations, ports=ports,
    )  # fmt: skip
    (found,) = asyncio.run(_discoverer(api, token_file, namespace, **keys).discover()).addresses
    assert (found.text, found.labels) == (address.text, address.labels)
    assert found.at == f"{namespace}/orders"


def test_only_pods_with_the_label_that_run_count(
    api: ApiServer, token_file: Path, namespace: str
) -> None:
    make = {"namespace": namespace, "ports": (METRICS,)}
    api.make_pod("a", "127.0.0.2", labels=ORDERS, **make)  # type: ignore[arg-type]
    api.make_pod("b", "127.0.0.3", labels={"app": "other"}, **make)  # type: ignore[arg-type]
    api.make_pod("c", "127.0.0.4", labels=ORDERS, phase="Succeeded", **make)  # type: ignore[arg-type]
    api.make_pod("d", "", labels=ORDERS, phase="Pending", **make)  # type: ignore[arg-type]
    off = {"prometheus.io/scrape": "false"}
    api.make_pod("e", "127.0.0.6", labels=ORDERS, annotations=off, **make)  # type: ignore[arg-type]
    assert asyncio.run(_texts(_discoverer(api, token_file, namespace))) == ["127.0.0.2:9187"]


def test_without_a_selector_annotated_pods_count(
    api: ApiServer, token_file: Path, namespace: str
) -> None:
    on = {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"}
    api.make_pod("a", "127.0.0.2", namespace=namespace, annotations=on)
    api.make_pod("b", "127.0.0.3", namespace=namespace, ports=(METRICS,))
    discoverer = _discoverer(api, token_file, namespace, label_selector=None)
    assert asyncio.run(_texts(discoverer)) == ["127.0.0.2:8080"]


def test_a_pod_without_a_known_port_is_reported_and_hides_no_other(
    api: ApiServer, token_file: Path, namespace: str
) -> None:
    api.make_pod("a", "127.0.0.2", namespace=namespace, labels=ORDERS)
    api.make_pod("b", "127.0.0.3", namespace=namespace, labels=ORDERS, ports=(METRICS,))
    listing = asyncio.run(_discoverer(api, token_file, namespace).discover())
    assert [one.text for one in listing.addresses] == ["127.0.0.3:9187"]
    assert listing.problem is not None
    assert f"{namespace}/a: has no port" in listing.problem


def test_more_pods_than_one_answer_holds_are_all_found(
    api: ApiServer, token_file: Path, namespace: str
) -> None:
    for number in range(1, 111):
        api.make_pod(
            f"p{number}", f"127.0.1.{number}", namespace=namespace, labels=ORDERS, ports=(METRICS,)
        )
    assert len(asyncio.run(_texts(_discoverer(api, token_file, namespace)))) == 110


def test_pods_that_come_move_and_go_are_followed_at_once(
    api: ApiServer, token_file: Path, namespace: str
) -> None:
    discoverer = _discoverer(api, token_file, namespace)

    def make() -> None:
        api.make_pod("a", "127.0.0.2", namespace=namespace, labels=ORDERS, ports=(METRICS,))

    async def follow() -> None:
        assert await _texts(discoverer) == []
        waiting = asyncio.create_task(_until(discoverer, ["127.0.0.2:9187"]))
        await asyncio.sleep(0.5)  # so that it is a watch that finds it
        begin = time.monotonic()
        await asyncio.to_thread(make)
        await waiting
        # Far below the length of a watch: the answer is read while it goes on.
        assert time.monotonic() - begin < kubernetes_sd.WATCH_SECONDS / 2
        await asyncio.to_thread(api.set_pod, "a", "127.0.0.9", namespace=namespace)
        await _until(discoverer, ["127.0.0.9:9187"])
        await asyncio.to_thread(api.set_pod, "a", "127.0.0.9", namespace=namespace, phase="Failed")
        await _until(discoverer, [])
        await asyncio.to_thread(api.set_pod, "a", "127.0.0.9", namespace=namespace)
        await _until(discoverer, ["127.0.0.9:9187"])
        await asyncio.to_thread(api.delete_pod, "a", namespace)
        await _until(discoverer, [])

    asyncio.run(follow())


def test_a_quiet_watch_ends_and_changes_nothing(
    api: ApiServer, token_file: Path, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes_sd, "WATCH_SECONDS", 1)
    api.make_pod("a", "127.0.0.2", namespace=namespace, labels=ORDERS, ports=(METRICS,))
    discoverer = _discoverer(api, token_file, namespace)

    async def follow() -> None:
        for _ in range(3):
            assert await _texts(discoverer) == ["127.0.0.2:9187"]

    asyncio.run(follow())


def test_a_new_token_is_used_and_an_old_one_is_reported(
    api: ApiServer, token_file: Path, namespace: str
) -> None:
    api.make_pod("a", "127.0.0.2", namespace=namespace, labels=ORDERS, ports=(METRICS,))
    discoverer = _discoverer(api, token_file, namespace)
    good, write = token_file.read_text(), token_file.write_text

    async def follow() -> None:
        assert await _texts(discoverer) == ["127.0.0.2:9187"]
        write("expired")
        with pytest.raises(ListError, match=r"status 401.*list and watch"):
            await discoverer.discover()
        write(good)
        assert await _texts(discoverer) == ["127.0.0.2:9187"]

    asyncio.run(follow())


def test_a_revoked_right_keeps_the_targets_and_names_what_is_missing(
    api: ApiServer, token_file: Path, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes_sd, "WATCH_SECONDS", 1)
    api.make_pod("a", "127.0.0.2", namespace=namespace, labels=ORDERS, ports=(METRICS,))
    config = _config(api, token_file, namespaces=[namespace])
    app = AppConfig.model_validate({"name": "orders"}).model_copy(
        update={"kubernetes_sd": (config,)}
    )

    async def follow() -> None:
        tasks = DiscoveryTasks([app], None, lambda: None)
        await tasks.refresh()
        assert tasks.statuses[0].up
        api.revoke("exporter", namespace)
        async with asyncio.timeout(30):
            while tasks.statuses[0].up:
                await tasks.refresh()
        (status,) = tasks.statuses
        assert status.targets == 1
        assert status.problem is not None
        assert "status 403" in status.problem
        assert f"list and watch for pods of the namespace {namespace}" in status.problem

    asyncio.run(follow())


def test_all_namespaces_need_a_right_to_all(
    api: ApiServer, token_file: Path, namespace: str
) -> None:
    with pytest.raises(ListError, match="pods of all namespaces"):
        asyncio.run(_discoverer(api, token_file, "").discover())


def test_a_restart_and_a_version_that_is_gone_are_survived(
    tmp_path: Path,
) -> None:
    """A restarted server knows nothing of before and answers 410: the pods are listed anew."""
    program("kube-apiserver")
    api = ApiServer(tmp_path)
    with api.etcd():
        with api.started():
            api.make_namespace("shop")
            api.make_pod("a", "127.0.0.2", labels=ORDERS, ports=(METRICS,))
            token = tmp_path / "token"
            token.write_text(ADMIN)
            discoverer = _discoverer(api, token, "shop")
            assert asyncio.run(_texts(discoverer)) == ["127.0.0.2:9187"]
            version = api.call("GET", "/api/v1/namespaces/shop/pods")["metadata"]["resourceVersion"]
            later = _discoverer(api, token, "shop")
            later.take_over(discoverer)
            for number in range(20):
                api.set_pod("a", f"127.0.0.{number + 3}")
        api.compact()
        with pytest.raises(ListError, match="not connected"):
            asyncio.run(discoverer.discover())
        with api.started():
            watch = f"/api/v1/namespaces/shop/pods?watch=true&resourceVersion={version}"
            assert api.call("GET", watch)["object"]["code"] == 410
            assert asyncio.run(_texts(later)) == ["127.0.0.2:9187"], "a pause before the list"
            for one in (discoverer, later):
                assert asyncio.run(_texts(one)) == ["127.0.0.22:9187"]
