"""Lists of pods that one answer, or one discovery, cannot hold."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest

from pg_pool_exporter.config import KubernetesSdConfig
from pg_pool_exporter.discovery import kubernetes_sd
from pg_pool_exporter.discovery.address_list import ListError
from pg_pool_exporter.discovery.kubernetes_sd import KubernetesDiscoverer
from support import pages
from support.pages import Peer

KIB = 1024
JSON = "Content-Type: application/json"
GONE = b'{"type": "ERROR", "object": {"code": 410}}\n'


class Cluster:
    """An API server's list of pods. A token is valid with the limit that it was given for."""

    def __init__(self, pods: int, size: Callable[[int], int] = lambda number: KIB) -> None:
        self._pods = pods
        self._size = size
        self.asked: list[tuple[str, int]] = []
        """Token and limit of each request."""
        self.statuses: dict[int, str] = {}
        """What the request of that number, from 0, is answered with instead."""
        self.hangs: set[int] = set()
        self.expired: set[str] = set()
        self.watches = 0
        """Each has the answer that the version of the list is no longer known."""

    async def answer(self, peer: Peer) -> None:
        """Answer one request."""
        target = (await peer.request()).split(b" ")[1].decode()
        query = {key: one for key, (one,) in parse_qs(urlsplit(target).query).items()}
        if "watch" in query:
            self.watches += 1
            await peer.send(pages.head(JSON, f"Content-Length: {len(GONE)}") + GONE)
            return
        token, limit = query.get("continue", ""), int(query["limit"])
        number = len(self.asked)
        self.asked.append((token, limit))
        if number in self.hangs:
            await peer.ignore()
            return
        status = self.statuses.get(number, "410 Gone" if token in self.expired else "200 OK")
        start, valid_with = (int(part) for part in (token or f"0-{limit}").split("-"))
        assert valid_with == limit
        end = min(start + limit, self._pods)
        meta = {"resourceVersion": "5", "continue": f"{end}-{limit}" if end < self._pods else ""}
        items = [self._pod(number) for number in range(start, end)]
        body = json.dumps({"metadata": meta, "items": items}).encode()
        length = f"Content-Length: {len(body)}"
        await peer.send(pages.head(JSON, length, status=status) + body)

    def _pod(self, number: int) -> dict[str, object]:
        return {
            "metadata": {"uid": str(number), "name": f"p{number}", "namespace": "shop"},
            "spec": {"containers": [{"ports": [{"name": "metrics", "containerPort": 9000}]}]},
            "status": {"phase": "Running", "podIP": f"127.1.{number // 250}.{number % 250}"},
            "filler": "x" * self._size(number),
        }


def discovered(cluster: Cluster, *deadlines: float, reload: bool = False) -> list[object]:
    """For each discovery with its deadline the number of pods, or its failure."""
    found: list[object] = []

    async def main() -> None:
        async with pages.serving(cluster.answer) as server:
            config = KubernetesSdConfig.model_validate(
                {"label_selector": "app=orders", "api_server": server.url.removesuffix("/metrics")}
            )
            discoverer = KubernetesDiscoverer(config, "shop")
            for deadline in deadlines:
                try:
                    async with asyncio.timeout(deadline):
                        found.append(len((await discoverer.discover()).addresses))
                except (TimeoutError, ListError) as error:
                    found.append(type(error))
                if reload:
                    former, discoverer = discoverer, KubernetesDiscoverer(config, "shop")
                    discoverer.take_over(former)

    asyncio.run(main())
    return found


def large(number: int) -> int:
    """40 KiB, of which 50 fit an answer."""
    return 40 * KIB


@pytest.mark.parametrize("reload", [False, True])
def test_a_server_that_forgets_its_list_at_once_is_not_asked_without_pause(
    monkeypatch: pytest.MonkeyPatch, reload: bool
) -> None:
    monkeypatch.setattr(kubernetes_sd, "WATCH_SECONDS", 0.3)
    cluster = Cluster(5)
    begin = time.monotonic()
    # A list and a pause in turn, so that each has a whole deadline.
    assert discovered(cluster, 10.0, 1.0, 10.0, 1.0, reload=reload) == [5, 5, 5, 5]
    assert (len(cluster.asked), cluster.watches) == (2, 2)
    assert time.monotonic() - begin >= 2 * 0.3


def test_a_pause_that_is_cut_short_is_followed_by_a_list() -> None:
    cluster = Cluster(5)
    assert discovered(cluster, 10.0, 0.5, 10.0) == [5, TimeoutError, 5]
    assert (len(cluster.asked), cluster.watches) == (2, 1)


@pytest.mark.parametrize("reload", [False, True])
def test_a_list_that_misses_its_deadline_goes_on_at_the_next_discovery(reload: bool) -> None:
    cluster = Cluster(400, large)
    cluster.hangs = {5}
    assert discovered(cluster, 1.0, 10.0, reload=reload) == [TimeoutError, 400]
    offsets = [token.partition("-")[0] for token, _ in cluster.asked]
    assert offsets == ["", "50", "100", "150", "200", "250", "250", "300", "350"]


@pytest.mark.parametrize("status", ["503 Service Unavailable", "429 Too Many Requests"])
def test_a_list_goes_on_after_a_failure(status: str) -> None:
    cluster = Cluster(200, large)
    cluster.statuses = {2: status}
    assert discovered(cluster, 10.0, 10.0) == [ListError, 200]
    offsets = [token.partition("-")[0] for token, _ in cluster.asked]
    assert offsets == ["", "50", "100", "100", "150"]


def test_a_list_whose_token_has_expired_meanwhile_starts_over_at_once() -> None:
    cluster = Cluster(200, large)
    cluster.hangs = {2}
    cluster.statuses = {3: "410 Gone"}
    assert discovered(cluster, 1.0, 10.0) == [TimeoutError, 200]
    offsets = [token.partition("-")[0] for token, _ in cluster.asked]
    assert offsets == ["", "50", "100", "100", "", "50", "100", "150"]


def test_a_token_that_is_never_valid_fails_each_discovery_after_few_requests() -> None:
    cluster = Cluster(200, large)
    cluster.expired = {"50-50"}
    assert discovered(cluster, 10.0, 10.0) == [ListError, ListError]
    assert len(cluster.asked) == 5


def test_small_pods_come_many_at_once() -> None:
    cluster = Cluster(3000)
    assert discovered(cluster, 10.0) == [3000]
    assert len(cluster.asked) <= 8


def test_few_pods_need_one_request() -> None:
    cluster = Cluster(50)
    assert discovered(cluster, 10.0) == [50]
    assert len(cluster.asked) == 1


@pytest.mark.parametrize(
    "size",
    [
        lambda number: 200 * KIB,
        lambda number: 40 * KIB if number > 60 else KIB,
        lambda number: 1000 * KIB if number == 120 else 100 * KIB,
    ],
)
def test_large_pods_come_fewer_at_once(size: Callable[[int], int]) -> None:
    cluster = Cluster(130, size)
    assert discovered(cluster, 10.0) == [130]


def test_more_pods_than_are_allowed_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes_sd, "MAX_PODS", 120)
    assert discovered(Cluster(120, large), 10.0) == [120]
    assert discovered(Cluster(160, large), 10.0, 10.0) == [ListError, ListError]
