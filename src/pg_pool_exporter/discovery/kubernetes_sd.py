"""Addresses of pods, listed once and then watched through Kubernetes' API server.

How to list and watch: https://kubernetes.io/docs/reference/using-api/api-concepts/. A watch begins
where the list, or the watch before it, has ended (`resourceVersion`), so nothing is missed between
two of them.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import ClassVar, NamedTuple
from urllib.parse import urlencode

from pg_pool_exporter.blocking.threads import PARSING
from pg_pool_exporter.config.http_client import HttpClientConfig, TlsConfig
from pg_pool_exporter.config.kubernetes import KubernetesSdConfig
from pg_pool_exporter.discovery.address_list import ListError
from pg_pool_exporter.discovery.discoverer import Discoverer, Listing
from pg_pool_exporter.discovery.pod_answers import (
    FIRST_PAGE,
    MAX_PODS,
    GoneError,
    Pod,
    PodPage,
    PodState,
    follow,
    listing,
    read_list,
)
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


class _Unfinished(NamedTuple):
    """The part of a list read so far."""

    further: str = ""
    """Token of the next page; empty before the first one."""
    pods: Mapping[str, Pod] = MappingProxyType({})
    """By uid."""
    read: int = 0
    """How many pods that were, those that do not count included."""


class KubernetesDiscoverer(Discoverer):
    """The pods of one namespace that a selector matches; `namespace` "" stands for all."""

    mechanism: ClassVar[str] = "kubernetes_sd"

    def __init__(self, config: KubernetesSdConfig, namespace: str) -> None:
        self._config = config
        self._namespace = namespace
        selected = config.label_selector or 'annotation prometheus.io/scrape="true"'
        self.name = f"pods of {namespace or 'all namespaces'}: {selected}"
        self.key = f"{self.name} {config.port} {config.api_server}"
        self._state: PodState | None = None
        self._watched = False  # since the last list
        self._unfinished = _Unfinished()
        self._at_once: int | None = None  # pods of a page; None: not yet known

    def take_over(self, former: KubernetesDiscoverer) -> None:
        """Go on where `former` has ended."""
        self._state = former._state
        self._watched = former._watched
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
                    self._watched = True
                except GoneError:
                    forgotten, self._state = self._state, None
                    if not self._watched:
                        # The next list may be forgotten at once, too. It has a discovery of its
                        # own, with a whole deadline.
                        await asyncio.sleep(WATCH_SECONDS)
                        return listing(forgotten.pods.values())
            if self._state is None:
                self._state = await self._list(client)
                self._watched = False
        except PollError as error:
            # From the beginning, so that a fault of the version cannot last.
            self._state = None
            raise ListError(f"not read: {error}{self._hint(error)}") from None
        finally:
            await client.close()
        return listing(self._state.pods.values())

    def _hint(self, error: PollError) -> str:
        if error.reason != "auth":
            return ""
        where = f"the namespace {self._namespace}" if self._namespace else "all namespaces"
        return f"; the service account needs the verbs list and watch for pods of {where}"

    async def _list(self, client: HttpClient) -> PodState:
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
                return PodState(page.version, pods)
            if self._at_once is None:
                self._at_once = page.fitting
                if page.fitting > FIRST_PAGE:
                    continue  # a token is valid with the limit that it was given for
            self._unfinished = _Unfinished(page.further, pods, read)

    async def _page(self, client: HttpClient) -> PodPage:
        """The next page of the list."""
        parameters = {"limit": str(self._at_once or FIRST_PAGE)}
        if self._unfinished.further:
            parameters["continue"] = self._unfinished.further
        answer = await self._answer(client, parameters)
        return await PARSING.run(partial(read_list, answer, self._config))

    def _is_smaller_after(self, error: PollError) -> bool:
        """Whether pages are smaller from now on, because one was too large."""
        at_once = self._at_once or FIRST_PAGE
        if error.reason != "too_large":
            return False
        self._at_once = at_once // 2 or None
        return self._at_once is not None

    async def _watch(self, client: HttpClient, state: PodState) -> PodState:
        parameters = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": state.version,
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        answer = await self._answer(client, parameters, until_line=True)
        return await PARSING.run(partial(follow, state, answer, self._config))

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
