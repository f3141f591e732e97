"""Pods in the answers of Kubernetes' API server: in a list, and in the events of a watch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from pg_pool_exporter.config.kubernetes import KubernetesSdConfig
from pg_pool_exporter.discovery.address_list import Address
from pg_pool_exporter.discovery.discoverer import Listing
from pg_pool_exporter.sources.base import PollError

MAX_PODS = 10_000
"""Of one namespace, or of all of them, that the selector matches."""
FIRST_PAGE = 50
"""Pods asked for at first. One has 1 to 40 KiB, and an answer may have 4 MiB."""

_MOST_TEXT = 2048
"""Characters of a text that is kept, as of a page's URL. Annotations may have 256 KiB."""
_MOST_AT_ONCE = 500
_PAGE_BYTES = 2 * 1024 * 1024
"""Of the answers aimed at."""
_GONE = 410
_ANNOTATION = "prometheus.io/"
_PORT_NAMES = ("metrics", "http-metrics")


class Pod(NamedTuple):
    """The kept facts of a pod that counts."""

    address: Address | None
    """None where the pod has no address yet, or is being deleted."""
    problem: str | None = None


class PodState(NamedTuple):
    """The pods as of a version of the API server's."""

    version: str
    pods: Mapping[str, Pod]
    """By uid."""


class PodPage(NamedTuple):
    """A page of the list."""

    version: str
    further: str
    """Token of the next page; empty on the last one."""
    pods: Mapping[str, Pod]
    read: int
    """How many pods the page has, those that do not count included."""
    fitting: int
    """How many of this size should be asked for at once."""


class GoneError(Exception):
    """The API server no longer knows what has changed since the version asked for."""


def read_list(content: bytes, config: KubernetesSdConfig) -> PodPage:
    """Read a page of the list. Raises `PollError`."""
    document = _document(content)
    meta = _mapping(document, "metadata")
    pods = dict(_each(document.get("items"), config))
    read = len(document["items"])
    fitting = read * _PAGE_BYTES // len(content)
    return PodPage(
        _text(meta, "resourceVersion"),
        _text(meta, "continue"),
        pods,
        read,
        min(max(fitting, FIRST_PAGE), _MOST_AT_ONCE),
    )


def follow(state: PodState, content: bytes, config: KubernetesSdConfig) -> PodState:
    """The state after the events in `content`, one a line. The last line may be cut.

    Raises `GoneError` and `PollError`.
    """
    pods = dict(state.pods)
    version = state.version
    *lines, _ = content.split(b"\n")
    for line in lines:
        event = _document(line)
        one = _mapping(event, "object")
        if event.get("type") == "ERROR":
            if one.get("code") == _GONE:
                raise GoneError
            raise PollError("protocol", "the API server has ended the watch with an error")
        version = _text(_mapping(one, "metadata"), "resourceVersion") or version
        if event.get("type") == "BOOKMARK":
            continue
        for uid, pod in _each([one], config, left_out=True):
            pods.pop(uid, None)
            if event.get("type") != "DELETED" and pod is not None:
                pods[uid] = pod
    if len(pods) > MAX_PODS:
        raise PollError("too_large", f"there are more than {MAX_PODS} pods")
    return PodState(version, pods)


def listing(pods: Iterable[Pod]) -> Listing:
    """The addresses, and the first of the problems with how many there are."""
    pods = [*pods]
    # Sorted: the order of events has no meaning.
    addresses = sorted(
        (pod.address for pod in pods if pod.address is not None), key=lambda one: one.text
    )
    problems = sorted(pod.problem for pod in pods if pod.problem is not None)
    problem = f"has pods that are left out ({len(problems)}): {problems[0]}" if problems else None
    return Listing(tuple(addresses), problem)


def _document(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise PollError("protocol", "the answer is not valid JSON") from None
    if not isinstance(document, dict):
        raise PollError("protocol", "the answer is no object of Kubernetes")
    return document


def _each(
    items: object, config: KubernetesSdConfig, *, left_out: bool = False
) -> Iterator[tuple[str, Any]]:
    """The pods that count, by uid; with `left_out` also those that do not, as None."""
    if not isinstance(items, list):
        raise PollError("protocol", "the answer is no list of pods")
    for item in items:
        if not isinstance(item, dict):
            raise PollError("protocol", "the answer is no list of pods")
        uid = _text(_mapping(item, "metadata"), "uid")
        pod = _pod(item, config)
        if pod is not None or left_out:
            yield uid, pod


def _pod(item: Mapping[str, Any], config: KubernetesSdConfig) -> Pod | None:
    """None for a pod that does not count: not annotated, or its processes have ended."""
    meta = _mapping(item, "metadata")
    annotations = _mapping(meta, "annotations")
    scrape = _text(annotations, f"{_ANNOTATION}scrape")
    if scrape == "false" or (config.label_selector is None and scrape != "true"):
        return None
    status = _mapping(item, "status")
    if status.get("phase") in ("Succeeded", "Failed"):
        return None
    host = _text(status, "podIP")
    if not host or _text(meta, "deletionTimestamp"):
        return Pod(None)
    name = f"{_text(meta, 'namespace')}/{_text(meta, 'name')}"
    ours = (value for key, value in annotations.items() if key.startswith(_ANNOTATION))
    if not all(map(_is_plain, ours)):
        return Pod(None, f"{name}: has an annotation that is too long, or not printable")
    port = _port(item, annotations, config.port)
    if port is None:
        return Pod(None, f"{name}: has no port {config.port or 'that is known: set port'}")
    labels = {
        key: value
        for key, value in (
            ("__scheme__", _text(annotations, f"{_ANNOTATION}scheme")),
            ("__metrics_path__", _text(annotations, f"{_ANNOTATION}path")),
        )
        if value
    }
    text = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return Pod(Address(text, labels, name))


def _port(
    item: Mapping[str, Any], annotations: Mapping[str, Any], wanted: int | str | None
) -> str | None:
    if isinstance(wanted, int):
        return str(wanted)
    annotated = _text(annotations, f"{_ANNOTATION}port")
    if wanted is None and annotated:
        return annotated
    # Names are unique within a container only, and may be left out.
    ports = [
        (_text(port, "name"), str(port.get("containerPort")))
        for container in _containers(_mapping(item, "spec"))
        for port in _mappings(container, "ports")
        if port.get("protocol", "TCP") == "TCP"
    ]
    for known in _PORT_NAMES if wanted is None else (wanted,):
        for name, number in ports:
            if name == known:
                return number
    numbers = {number for _, number in ports}
    return numbers.pop() if wanted is None and len(numbers) == 1 else None


def _containers(spec: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The containers that run as long as the pod, sidecars last.

    Sidecars are init containers that are restarted always:
    https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/.
    """
    yield from _mappings(spec, "containers")
    for container in _mappings(spec, "initContainers"):
        if container.get("restartPolicy") == "Always":
            yield container


def _mapping(parent: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = parent.get(key)
    return value if isinstance(value, dict) else {}


def _mappings(parent: Mapping[str, Any], key: str) -> Iterator[Mapping[str, Any]]:
    value = parent.get(key)
    for one in value if isinstance(value, list) else ():
        if isinstance(one, dict):
            yield one


def _text(parent: Mapping[str, Any], key: str) -> str:
    """Empty where it is missing, or nothing that Kubernetes has there."""
    value = parent.get(key)
    return value if isinstance(value, str) and _is_plain(value) else ""


def _is_plain(value: object) -> bool:
    return not isinstance(value, str) or (len(value) <= _MOST_TEXT and value.isprintable())
