"""Identifies the pools of one page by all labels of their series.

Series that differ in any label are of different pools, or of different processes: they are never
added up. Names are made of a pool's own labels alone as long as no two are alike: see `naming`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from itertools import count
from typing import NamedTuple

from pg_pool_exporter.formats import DEFAULT_POOL, NATIVE_NAME, Labels
from pg_pool_exporter.model import PoolId
from pg_pool_exporter.sources.pages.series.safe_names import safe_pool_name
from pg_pool_exporter.sources.pages.series.text_syntax import cut
from pg_pool_exporter.sources.pages.target_defaults import TargetDefaults

Pairs = tuple[tuple[str, str], ...]
"""Names of labels and their values."""

_NONE: Pairs = ()

# Labels of what a series was scraped from, as Prometheus, its federation, OpenTelemetry's resources
# and common tags have them: they name a process. In the order in which its name has them.
_PROCESS_LABELS = (
    "cluster", "k8s_cluster_name", "region", "cloud_region", "zone", "availability_zone",
    "cloud_availability_zone", "datacenter", "dc", "environment", "env", "deployment_environment",
    "deployment_environment_name", "stage", "namespace", "exported_namespace",
    "kubernetes_namespace", "k8s_namespace_name", "service_namespace", "application",
    "application_name", "app", "exported_app", "exported_application", "app_name", "service",
    "exported_service", "service_name", "k8s_deployment_name", "job", "exported_job", "group",
    "node", "k8s_node_name", "nodename", "host_name", "hostname", "pod", "exported_pod", "pod_name",
    "kubernetes_pod_name", "k8s_pod_name", "container", "exported_container", "container_name",
    "k8s_container_name", "container_id", "task", "task_id", "replica", "endpoint",
    "service_instance_id", "instance", "exported_instance", "instance_id", "process_pid", "pid",
)  # fmt: skip
_ORDER = {name: at for at, name in enumerate(_PROCESS_LABELS)}

# Labels of the instrumentation and of the machine. Exporters put them on some series of a pool and
# not on others.
_QUIET_PREFIXES = (
    "otel_scope_", "telemetry_", "process_runtime_", "process_executable_", "process_command",
    "process_owner", "os_", "host_arch", "service_version",
)  # fmt: skip


class PagePool(NamedTuple):
    """A pool as one format of its page shows it; two are equal when all their labels are."""

    format: str
    app: str = ""
    """As the page names it; the configuration's name wins."""
    name: str = ""
    process: str = ""
    """As the page names it, without the labels of `target`."""
    labels: Pairs = _NONE
    """Labels that the format gives no meaning: they are part of the pool's name."""
    target: Pairs = _NONE
    """Labels of the process."""
    quiet: Pairs = _NONE
    """Labels that are on some series of a pool only. They distinguish, and are shown only where
    nothing else does. One without a name is never shown."""

    @property
    def is_of_our_client(self) -> bool:
        """Whether it has the labels that a client of ours always writes."""
        return self.format == NATIVE_NAME and bool(self.app and self.process)

    @property
    def client_key(self) -> PoolId | None:
        """The identity that a client of ours wrote; None for other pools."""
        return PoolId(self.app, self.name, self.process) if self.is_of_our_client else None

    @property
    def raw(self) -> str:
        """The name as it is on the page, which may hold a password."""
        return dict(self.quiet).get("", self.name)

    @property
    def shown(self) -> str:
        """The pool's name with its labels."""
        name = self.name or DEFAULT_POOL
        return cut(f"{name} ({_listed(self.labels)})" if self.labels else name)

    def with_safe_name(self) -> PagePool:
        """The same without what can be a password in its name; `raw` stays what it was."""
        safe = safe_pool_name(self.name).name
        if safe == self.name:
            return self
        return self._replace(name=safe, quiet=(("", self.name), *self.quiet))

    def key(self, defaults: TargetDefaults) -> PoolId:
        """The identity under which the pool is shown."""
        app = defaults.app or self.app
        # A label that only repeats the application's name is left out.
        own = [_safe(text) for _, text in self.target if text != app]
        process = ":".join(filter(None, (self.process or defaults.process, *own)))
        return PoolId(app, self.shown, cut(process))

    @property
    def all_labels(self) -> dict[str, str]:
        """The labels that distinguish it from others of its name."""
        return {**dict(self.labels), **dict(self.target), **dict(self.quiet)}

    @property
    def distinguishing(self) -> Pairs:
        """The labels of `quiet` that can be shown."""
        return tuple((name, text) for name, text in self.quiet if name)

    def others(self, key: PoolId) -> Iterator[PoolId]:
        """Names instead of `key`, which another pool has, by its distinguishing labels."""
        labels = self.distinguishing
        if labels:
            yield _labelled(key, labels)
        for number in count(2):
            yield _labelled(key, (*labels, ("number", str(number))))


def split(labels: Labels, meant: Set[str], quiet: Set[str] = frozenset()) -> tuple[Pairs, ...]:
    """The fields `labels`, `target` and `quiet` of a `PagePool`: labels without another meaning
    (`meant`)."""
    named: list[tuple[str, str]] = []
    target: list[tuple[str, str]] = []
    silent: list[tuple[str, str]] = []
    for pair in labels.items():
        name, text = pair
        if name in meant or not text:
            continue
        if name in quiet or name.startswith(_QUIET_PREFIXES):
            silent.append(pair)
        elif name in _ORDER:
            target.append(pair)
        else:
            named.append(pair)
    return tuple(sorted(named)), in_order(target), tuple(sorted(silent))


def in_order(target: Iterable[tuple[str, str]]) -> Pairs:
    """Labels of a process in the order in which its name has them, whatever the format."""
    return tuple(sorted(target, key=lambda pair: _ORDER.get(pair[0], -1)))


def agree(first: Iterable[tuple[str, str]], second: Iterable[tuple[str, str]]) -> bool:
    """Whether no label has two values."""
    known = dict(first)
    return all(known.get(name, text) == text for name, text in second)


def with_text(key: PoolId, text: str) -> PoolId:
    """The `key` of a pool whose name has `text` behind it."""
    return key._replace(pool=cut(f"{key.pool} ({text})"))


def _labelled(key: PoolId, labels: Pairs) -> PoolId:
    return with_text(key, _listed(labels))


def _listed(labels: Pairs) -> str:
    return ", ".join(f"{label}={_safe(text)}" for label, text in labels)


def _safe(text: str) -> str:
    return safe_pool_name(text).name
