"""Addresses of pods, listed once and then watched through Kubernetes' API server.

How to list and watch: https://kubernetes.io/docs/reference/using-api/api-concepts/. A watch begins
where the list, or the watch before it, has ended (`resourceVersion`), so nothing is missed between
two of them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple
from urllib.parse import urlencode

from pg_pool_exporter.blocking.threads import PARSING
from pg_pool_exporter.config.http_client import HttpClientConfig, TlsConfig
from pg_pool_exporter.config.kubernetes import KubernetesSdConfig
from pg_pool_exporter.discovery.address_list import Address, ListError
from pg_pool_exporter.discovery.discoverer import Listing
from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.http.client import HttpClient
from pg_pool_exporter.sources.http.fetch import DOCUMENT, Request
from pg_pool_exporter.sources.http.request_options import request_options

SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
"""Where Kubernetes puts a pod's token, which it replaces before it expires, and its authorities."""
WATCH_SECONDS = 6
"""Of one watch: below the deadline of a discovery. A right that was revoked, and a new token, show
at the next one."""
PAUSE_SECONDS = 0.2
"""Between two watches; what happens meanwhile comes with the next one, all at once."""
MAX_PODS = 10_000
"""Of one namespace, or of all of them, that the selector matches."""

_MOST_TEXT = 2048
"""Characters of a text that is kept, as of a page's URL. Annotations may have 256 KiB."""
_PAGE = 50
"""Pods asked for at first. One has 1 to 40 KiB, and an answer may have 4 MiB."""
_MOST_AT_ONCE = 500
_PAGE_BYTES = 2 * 1024 * 1024
"""Of the answers aimed at."""
_GONE = 410
_ANNOTATION = "prometheus.io/"
_PORT_NAMES = ("metrics", "http-metrics")


class _Pod(NamedTuple):
    """The kept facts of a pod that counts."""

    address: Address | None
    """None where the pod has no address yet, or is being deleted."""
    problem: str | None = None


class _State(NamedTuple):
    """The pods as of a version of the API server's."""

    version: str
    pods: Mapping[str, _Pod]
    """By uid."""


class _Unfinished(NamedTuple):
    """The part of a list read so far."""

    further: str = ""
    """Token of the next page; empty before the first one."""
    pods: Mapping[str, _Pod] = MappingProxyType({})
    """By uid."""
    read: int = 0
    """How many pods that were, those that do not count included."""


class _GoneError(Exception):
    """The API server no longer knows what has changed since the version asked for."""


class KubernetesDiscoverer:
    """The pods of one namespace that a selector matches; `namespace` "" stands for all."""

    mechanism: ClassVar[str] = "kubernetes_sd"

    def __init__(self, config: KubernetesSdConfig, namespace: str) -> None:
        self._config = config
        self._namespace = namespace
        selected = config.label_selector or 'annotation prometheus.io/scrape="true"'
        self.name = f"pods of {namespace or 'all namespaces'}: {selected}"
        self.key = f"{self.name} {config.port} {config.api_server}"
        self._state: _State | None = None
        self._unfinished = _Unfinished()
        self._at_once: int | None = None  # pods of a page; None: not yet known

    def take_over(self, former: KubernetesDiscoverer) -> None:
        """Go on where `former` has ended."""
        self._state = former._state
        self._unfinished = former._unfinished
        self._at_once = former._at_once

    async def discover(self) -> Listing:
        """List the pods; later wait until some have changed, for `WATCH_SECONDS` at most.

        A list that fails, or is cancelled, goes on where it has ended: a large one takes longer
        than the deadline of a discovery.
        """
        client = HttpClient()
        try:
            if self._state is not None:
                try:
                    self._state = await self._watch(client, self._state)
                except _GoneError:
                    self._state = None
            if self._state is None:
                self._state = await self._list(client)
        except PollError as error:
            # From the beginning, so that a fault of the version cannot last.
            self._state = None
            raise ListError(f"not read: {error}{self._hint(error)}") from None
        finally:
            await client.close()
        return _listing(self._state.pods.values())

    def _hint(self, error: PollError) -> str:
        if error.reason != "auth":
            return ""
        where = f"the namespace {self._namespace}" if self._namespace else "all namespaces"
        return f"; the service account needs the verbs list and watch for pods of {where}"

    async def _list(self, client: HttpClient) -> _State:
        resumed = bool(self._unfinished.further)
        while True:
            former = self._unfinished
            try:
                page = await self._page(client)
            except PollError as error:
                if self._is_smaller_after(error) or resumed:
                    # Resumed: as a rule the token has expired.
                    resumed = False
                    self._unfinished = _Unfinished()
                    continue
                raise
            resumed = False
            read = former.read + max(1, page.read)
            pods = {**former.pods, **page.pods}
            self._unfinished = _Unfinished()
            if read > MAX_PODS or (page.further and read == MAX_PODS):
                raise ListError(
                    f"has more than {MAX_PODS} pods: name namespaces and a label_selector"
                )
            if not page.further:
                return _State(page.version, pods)
            if self._at_once is None:
                self._at_once = page.fitting
                if page.fitting > _PAGE:
                    continue  # a token is valid with the limit that it was given for
            self._unfinished = _Unfinished(page.further, pods, read)

    async def _page(self, client: HttpClient) -> _Page:
        """The next page of the list."""
        parameters = {"limit": str(self._at_once or _PAGE)}
        if self._unfinished.further:
            parameters["continue"] = self._unfinished.further
        answer = await self._answer(client, parameters)
        return await PARSING.run(partial(_of_list, answer, self._config))

    def _is_smaller_after(self, error: PollError) -> bool:
        """Whether pages are smaller from now on, because one was too large."""
        at_once = self._at_once or _PAGE
        if error.reason != "too_large":
            return False
        self._at_once = at_once // 2 or None
        return self._at_once is not None

    async def _watch(self, client: HttpClient, state: _State) -> _State:
        parameters = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": state.version,
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        answer = await self._answer(client, parameters, until_line=True)
        return await PARSING.run(partial(_after, state, answer, self._config))

    async def _answer(
        self, client: HttpClient, parameters: Mapping[str, str], *, until_line: bool = False
    ) -> bytes:
        server, how = self._server()
        options = await request_options(how)
        place = f"namespaces/{self._namespace}/pods" if self._namespace else "pods"
        if self._config.label_selector is not None:
            parameters = {**parameters, "labelSelector": self._config.label_selector}
        url = f"{server}/api/v1/{place}?{urlencode(parameters)}"
        body = await client.fetch(Request(url, options, accepted=DOCUMENT, until_line=until_line))
        if body.gzipped:
            raise PollError("protocol", "the answer is compressed, which was not asked for")
        return body.content

    def _server(self) -> tuple[str, HttpClientConfig]:
        """The API server's address, and how it is asked."""
        if self._config.api_server is not None:
            return self._config.api_server.rstrip("/"), self._config.http_client
        host = os.environ.get("KUBERNETES_SERVICE_HOST")
        port = os.environ.get("KUBERNETES_SERVICE_PORT_HTTPS", "443")
        if not host:
            raise ListError(
                "not read: this process runs in no pod (KUBERNETES_SERVICE_HOST is not set): "
                "set api_server"
            )
        name = f"[{host}]" if ":" in host else host
        # Not validated: these files are Kubernetes' own, and need not be there when the
        # configuration is checked elsewhere.
        tls = TlsConfig.model_construct(ca_file=f"{SERVICE_ACCOUNT}/ca.crt")
        how = self._config.http_client.model_copy(
            update={"bearer_token_file": f"{SERVICE_ACCOUNT}/token", "tls_config": tls}
        )
        return f"https://{name}:{port}", how


class _Page(NamedTuple):
    version: str
    further: str
    """Token of the next page; empty on the last one."""
    pods: Mapping[str, _Pod]
    read: int
    """How many pods the page has, those that do not count included."""
    fitting: int
    """How many of this size should be asked for at once."""


def _of_list(content: bytes, config: KubernetesSdConfig) -> _Page:
    document = _document(content)
    meta = _mapping(document, "metadata")
    pods = dict(_each(document.get("items"), config))
    read = len(document["items"])
    fitting = read * _PAGE_BYTES // len(content)
    return _Page(
        _text(meta, "resourceVersion"),
        _text(meta, "continue"),
        pods,
        read,
        min(max(fitting, _PAGE), _MOST_AT_ONCE),
    )


def _after(state: _State, content: bytes, config: KubernetesSdConfig) -> _State:
    """The state after the events in `content`, one a line. The last line may be cut.

    Raises `_GoneError` and `PollError`.
    """
    pods = dict(state.pods)
    version = state.version
    *lines, _ = content.split(b"\n")
    for line in lines:
        event = _document(line)
        one = _mapping(event, "object")
        if event.get("type") == "ERROR":
            if one.get("code") == _GONE:
                raise _GoneError
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
    return _State(version, pods)


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


def _pod(item: Mapping[str, Any], config: KubernetesSdConfig) -> _Pod | None:
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
        return _Pod(None)
    name = f"{_text(meta, 'namespace')}/{_text(meta, 'name')}"
    ours = (value for key, value in annotations.items() if key.startswith(_ANNOTATION))
    if not all(map(_is_plain, ours)):
        return _Pod(None, f"{name}: has an annotation that is too long, or not printable")
    port = _port(item, annotations, config.port)
    if port is None:
        return _Pod(None, f"{name}: has no port {config.port or 'that is known: set port'}")
    labels = {
        key: value
        for key, value in (
            ("__scheme__", _text(annotations, f"{_ANNOTATION}scheme")),
            ("__metrics_path__", _text(annotations, f"{_ANNOTATION}path")),
        )
        if value
    }
    text = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return _Pod(Address(text, labels, name))


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


def _listing(pods: Iterable[_Pod]) -> Listing:
    pods = [*pods]
    # Sorted: the order of events has no meaning.
    addresses = sorted(
        (pod.address for pod in pods if pod.address is not None), key=lambda one: one.text
    )
    problems = sorted(pod.problem for pod in pods if pod.problem is not None)
    problem = f"has pods that are left out ({len(problems)}): {problems[0]}" if problems else None
    return Listing(tuple(addresses), problem)
