"""Answers of an API server that is none, or lies: a failure with a reason, and nothing else."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from pg_pool_exporter.config import KubernetesSdConfig
from pg_pool_exporter.discovery.address_list import ListError
from pg_pool_exporter.discovery.discoverer import Listing
from pg_pool_exporter.discovery.kubernetes_sd import KubernetesDiscoverer
from pg_pool_exporter.discovery.pod_answers import GoneError, PodState, follow, listing, read_list
from pg_pool_exporter.sources.base import PollError
from support import pages
from support.pages import answer

CONFIG = KubernetesSdConfig.model_validate({"label_selector": "app=orders"})


def pod(**changes: Any) -> dict[str, Any]:
    """A pod that counts, with some of its parts replaced."""
    return {
        "metadata": {"uid": "1", "name": "a", "namespace": "shop", "resourceVersion": "7"},
        "spec": {"containers": [{"ports": [{"name": "metrics", "containerPort": 9000}]}]},
        "status": {"phase": "Running", "podIP": "127.0.0.2"},
        **changes,
    }


def listed(item: object, config: KubernetesSdConfig = CONFIG) -> list[str]:
    """The addresses of a list with one item."""
    document = {"metadata": {"resourceVersion": "5"}, "items": [item]}
    page = read_list(json.dumps(document).encode(), config)
    return [one.text for one in listing(page.pods.values()).addresses]


STATE = PodState("5", {})


def events(*lines: object, end: bytes = b"") -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines) + end


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ["127.0.0.2:9000"]),
        ({"status": {"phase": "Running", "podIP": "fd00::2"}}, ["[fd00::2]:9000"]),
        ({"status": None}, []),
        ({"status": {"podIP": 7}}, []),
        ({"spec": None}, []),
        ({"spec": {"containers": 7}}, []),
        ({"spec": {"containers": [7, {"ports": [7]}]}}, []),
        ({"metadata": None}, ["127.0.0.2:9000"]),
        ({"metadata": {"annotations": {"prometheus.io/port": 7}}}, ["127.0.0.2:9000"]),
        (
            {"spec": {"containers": [{"ports": [{"containerPort": 53, "protocol": "UDP"}]}]}},
            [],
        ),
    ],
)
def test_a_strange_pod_costs_only_itself(changes: dict[str, Any], expected: list[str]) -> None:
    assert listed(pod(**changes)) == expected


METRICS_1 = {"name": "metrics", "containerPort": 9001}
METRICS_2 = {"name": "metrics", "containerPort": 9002}
HTTP_METRICS = {"name": "http-metrics", "containerPort": 9003}


@pytest.mark.parametrize(
    ("containers", "keys", "expected"),
    [
        ([[{"containerPort": 5000}]], {}, ["127.0.0.2:5000"]),
        ([[{"containerPort": 5000}, {"containerPort": 6000}]], {}, []),
        ([[{"containerPort": 5000}], [{"containerPort": 6000}]], {}, []),
        ([[{"name": "a", "containerPort": 5000}, {"containerPort": 5000}]], {}, ["127.0.0.2:5000"]),
        ([[METRICS_1], [METRICS_2]], {}, ["127.0.0.2:9001"]),
        ([[METRICS_2], [METRICS_1]], {"port": "metrics"}, ["127.0.0.2:9002"]),
        ([[HTTP_METRICS], [METRICS_1]], {}, ["127.0.0.2:9001"]),
        ([[{"containerPort": 5000}, HTTP_METRICS]], {}, ["127.0.0.2:9003"]),
        ([[METRICS_1]], {"port": "http"}, []),
        ([[{"containerPort": 5000}]], {"port": "http"}, []),
    ],
)
def test_the_port_of_a_pod_with_several(
    containers: list[Any], keys: dict[str, Any], expected: list[str]
) -> None:
    """Names are unique in a container, not in a pod; others are known by number."""
    config = KubernetesSdConfig.model_validate({"label_selector": "app=orders", **keys})
    spec = {"containers": [{"ports": ports} for ports in containers]}
    assert listed(pod(spec=spec), config) == expected


@pytest.mark.parametrize(
    ("sidecar", "expected"),
    [
        ({"restartPolicy": "Always", "ports": [METRICS_1]}, ["127.0.0.2:9001"]),
        ({"restartPolicy": "Always", "ports": [{"containerPort": 5000}]}, []),
        ({"restartPolicy": "Always", "ports": [{"containerPort": 8080}]}, ["127.0.0.2:8080"]),
        ({"ports": [METRICS_1]}, ["127.0.0.2:8080"]),
        ({"restartPolicy": "Never", "ports": [METRICS_1]}, ["127.0.0.2:8080"]),
    ],
)
def test_ports_of_sidecars_count_and_those_of_containers_that_have_ended_do_not(
    sidecar: dict[str, Any], expected: list[str]
) -> None:
    spec = {
        "containers": [{"ports": [{"containerPort": 8080}]}],
        "initContainers": [sidecar],
    }
    assert listed(pod(spec=spec)) == expected


@pytest.mark.parametrize("ports", [[METRICS_1], []])
def test_a_pod_that_is_about_to_go_is_no_target_and_no_problem(ports: list[Any]) -> None:
    there = pod(spec={"containers": [{"ports": ports}]})
    before = follow(STATE, events({"type": "ADDED", "object": there}), CONFIG)
    ending = {**there["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}
    going = {**there, "metadata": ending}
    after = follow(before, events({"type": "MODIFIED", "object": going}), CONFIG)
    assert listing(after.pods.values()) == Listing()
    assert listing(before.pods.values()) != Listing()
    assert listed(going) == []


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"7", b"{", b"{}", b'{"items": 7}', b'{"items": [7]}', b"\xff", b"[" * 100_000],
)
def test_what_is_no_list_of_pods_fails_the_discovery(content: bytes) -> None:
    with pytest.raises(PollError):
        read_list(content, CONFIG)


def test_a_line_that_is_cut_comes_with_the_next_watch() -> None:
    content = events({"type": "ADDED", "object": pod()}, end=b'{"type": "DELE')
    state = follow(STATE, content, CONFIG)
    assert (state.version, len(state.pods)) == ("7", 1)


def test_a_bookmark_only_moves_the_version() -> None:
    bookmark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}}
    state = follow(STATE, events(bookmark), CONFIG)
    assert (state.version, state.pods) == ("9", {})


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ({"type": "ERROR", "object": {"code": 410}}, GoneError),
        ({"type": "ERROR", "object": {"code": 500}}, PollError),
        ({"type": "ERROR"}, PollError),
        (7, PollError),
    ],
)
def test_a_watch_that_ends_with_an_error_is_recognised(
    line: object, error: type[Exception]
) -> None:
    with pytest.raises(error):
        follow(STATE, events(line), CONFIG)


def test_a_watch_cannot_grow_without_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pg_pool_exporter.discovery.pod_answers.MAX_PODS", 2)
    many = [{"type": "ADDED", "object": pod(metadata={"uid": str(number)})} for number in range(3)]
    with pytest.raises(PollError, match="more than 2 pods"):
        follow(STATE, events(*many), CONFIG)


def test_outside_of_a_pod_it_says_what_to_set() -> None:
    with pytest.raises(ListError, match=r"runs in no pod.*api_server"):
        asyncio.run(KubernetesDiscoverer(CONFIG, "shop").discover())


def test_pages_without_end_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pg_pool_exporter.discovery.kubernetes_sd.MAX_PODS", 100)
    page = answer(b'{"metadata": {"continue": "x"}, "items": []}', "Content-Type: application/json")

    async def main() -> None:
        async with pages.serving(page) as server:
            config = KubernetesSdConfig.model_validate(
                {"label_selector": "app=orders", "api_server": server.url}
            )
            await KubernetesDiscoverer(config, "shop").discover()

    with pytest.raises(ListError, match="more than 100 pods"):
        asyncio.run(main())


@pytest.mark.parametrize(
    "strange",
    [
        pytest.param("/" + "x" * 250_000, id="as long as Kubernetes allows"),
        pytest.param("/a\r\nX-Forged: 1", id="another line"),
        pytest.param("/\ud800", id="no text"),
    ],
)
def test_an_annotation_that_no_page_has_is_not_kept(strange: str) -> None:
    """10,000 pods with a path of 250 KB each are 2.5 GB."""
    meta = {"uid": "1", "name": "a", "namespace": "shop"}
    annotated = pod(metadata={**meta, "annotations": {"prometheus.io/path": strange}})
    document = {"metadata": {"resourceVersion": "5"}, "items": [annotated]}
    page = read_list(json.dumps(document).encode(), CONFIG)
    found = listing(page.pods.values())
    assert found.addresses == ()
    assert found.problem is not None
    assert "shop/a: has an annotation that is too long, or not printable" in found.problem
    assert len(repr(page)) < 1000


@pytest.mark.parametrize("name", ["\ud800", "\x1b[31mred", "a\nlevel=error msg=forged"])
def test_a_name_that_no_pod_has_is_in_no_message(name: str) -> None:
    nameless = pod(metadata={"uid": "1", "name": name, "namespace": name}, spec={})
    document = {"metadata": {"resourceVersion": "5"}, "items": [nameless]}
    page = read_list(json.dumps(document).encode(), CONFIG)
    problem = listing(page.pods.values()).problem
    assert problem is not None
    assert problem.isprintable()
