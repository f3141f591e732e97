"""Answers of Kubernetes' API server: the list of pods in the first line, then events."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress

from fuzz.harness import Harness, check_error, pure
from pg_pool_exporter.config import AppConfig, KubernetesSdConfig
from pg_pool_exporter.discovery.page_urls import url_of
from pg_pool_exporter.discovery.pod_answers import GoneError, PodState, follow, listing, read_list
from pg_pool_exporter.metrics.text_format import Blocks
from pg_pool_exporter.sources.base import PollError

_CONFIG = KubernetesSdConfig.model_validate({})
_APP = AppConfig.model_validate({"name": "orders", "targets": ["http://orders:8080"]})


def _check(data: bytes) -> Sequence[Blocks]:
    listed, _, events = data.partition(b"\n")
    try:
        page = read_list(listed, _CONFIG)
        state = PodState(page.version, page.pods)
        state = follow(state, events, _CONFIG)
    except GoneError:
        return ()
    except PollError as error:
        check_error(error)
        return ()
    found = listing(state.pods.values())
    assert found.problem is None or found.problem.isprintable()
    for address in found.addresses[:100]:
        with suppress(ValueError):
            assert url_of(address, _APP).isprintable()
    return ()


def _pod(uid: str, **annotations: str) -> dict[str, object]:
    named = {f"prometheus.io/{key}": value for key, value in annotations.items()}
    return {
        "metadata": {
            "uid": uid, "name": f"orders-{uid}", "namespace": "shop", "resourceVersion": "7",
            "annotations": {"prometheus.io/scrape": "true", **named},
        },
        "spec": {
            "containers": [{"ports": [{"name": "metrics", "containerPort": 9000}]}],
            "initContainers": [{"restartPolicy": "Always", "ports": [{"containerPort": 1}]}],
        },
        "status": {"phase": "Running", "podIP": "10.0.0.7"},
    }  # fmt: skip


def _answer(*pods: object, events: Sequence[object] = ()) -> bytes:
    listed = {"metadata": {"resourceVersion": "5", "continue": ""}, "items": pods}
    return b"\n".join(json.dumps(one).encode() for one in (listed, *events)) + b"\n"


HARNESS = Harness(
    name="kubernetes_answers",
    seeds=[
        _answer(_pod("1", port="8080", path="/m", scheme="https"), _pod("2")),
        _answer(
            _pod("1"),
            events=[
                {"type": "MODIFIED", "object": _pod("1", port="9100")},
                {"type": "ADDED", "object": _pod("2")},
                {"type": "DELETED", "object": _pod("1")},
                {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}},
            ],
        ),
        _answer(events=[{"type": "ERROR", "object": {"code": 410}}]),
    ],
    tokens=[
        b'"metadata":', b'"uid":', b'"continue":"x"', b'"resourceVersion":', b'"annotations":',
        b'"prometheus.io/path":"/m"', b'"prometheus.io/port":"80@evil"', b'"podIP":"fd00::1"',
        b'"containerPort":', b'"phase":"Failed"', b'"type":"DELETED"', b'"deletionTimestamp":"x"',
        b"\\ud800", b"\\u001b[31m", b"\\r\\n", b"null", b"[]", b"{}", b"[" * 40, b'{"a":' * 40,
    ],
    start=pure(_check),
    max_bytes=128 * 1024,
)  # fmt: skip
