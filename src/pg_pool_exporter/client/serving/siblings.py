"""Metrics of the application's other processes on this host.

A scrape through a pre-forking server's port reaches any one of its processes. It must not show one
at random, so each process answers for all: it reads its siblings in the socket directory.

Siblings are not trusted. It must be a process of the same user, everything that is read is bounded
in bytes and time, and a line is passed on only if it is a sample of this application that leaves
the page valid: the exporter refuses a page of which one series is wrong.
"""

from __future__ import annotations

import os
import re
import socket
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from math import isinf
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from pg_pool_exporter.metrics.catalogue import METRICS, POOL_INFO, Metric
from pg_pool_exporter.metrics.text_format import Blocks, bound, escape, number
from pg_pool_exporter.model import PoolId
from pg_pool_exporter.sockets import PAGE_PATH, peer_user

# One that hangs must not hide those after it, and all together must not hold up the scrape.
_SECONDS = 0.5
_SECONDS_FOR_ALL = 2.0
_MAX_BYTES = 1 << 20
_MAX_BYTES_FOR_ALL = 16 << 20

_REQUEST = f"GET {PAGE_PATH} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode()
# A label without a value is not written.
_LABEL = r'([a-z_]+)="((?:[^"\\\n]|\\["\\n])+)"'
_LABELS = re.compile(_LABEL, re.ASCII)
_SAMPLE = re.compile(
    rf"(?P<series>(?P<name>[a-z_]+)(?:\{{(?P<labels>{_LABEL}(?:,{_LABEL})*+)\}})?) "
    r"(?P<value>[0-9]+(?:\.[0-9]*)?(?:e[+-]?[0-9]+)?)",
    re.ASCII,
)
_POOL = PoolId._fields


def sibling_pages(sockets: Iterable[Path], *, apps: Iterable[str], own: Blocks) -> list[Blocks]:
    """The lines of the application's other processes, without pools that are in `own` already.

    One that doesn't answer is left out, and so is what isn't a valid sample of one of `apps`.
    """
    labels = frozenset(escape(app) for app in apps)
    seen = {sample.pool for text in own.values() for sample in _samples(text)}
    pages = []
    deadline, room = monotonic() + _SECONDS_FOR_ALL, _MAX_BYTES_FOR_ALL
    for path in sockets:
        until = min(deadline, monotonic() + _SECONDS)
        with suppress(OSError, ValueError):
            text = _read(path, until, min(room, _MAX_BYTES))
            room -= len(text)
            pages.append(_by_metric(text, labels, seen))
    return pages


def _read(path: Path, deadline: float, max_bytes: int) -> str:
    """The page at a socket. Raises `OSError` or `ValueError` for anything but a whole one."""
    found = path.lstat()
    if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.geteuid():
        raise PermissionError("not a socket of this user")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        _wait_until(connection, deadline)
        connection.connect(str(path))
        if peer_user(connection) not in (os.geteuid(), None):
            raise PermissionError("a process of another user")
        connection.sendall(_REQUEST)
        answer = bytearray()
        while True:
            # One deadline for the exchange: single bytes do not extend it.
            _wait_until(connection, deadline)
            chunk = connection.recv(1 << 16)
            if not chunk:
                break
            answer += chunk
            if len(answer) > max_bytes:
                raise ValueError("too large")
    head, end, body = bytes(answer).partition(b"\r\n\r\n")
    status, *headers = head.decode("ascii").lower().split("\r\n")
    lengths = [line.partition(":")[2].strip() for line in headers if "content-length:" in line]
    if not end or status.split()[1:2] != ["200"] or lengths != [str(len(body))]:
        raise ValueError("not a whole page")
    return body.decode("utf-8", "replace")


def _wait_until(connection: socket.socket, deadline: float) -> None:
    left = deadline - monotonic()
    if left <= 0:
        raise TimeoutError
    connection.settimeout(left)


def _by_metric(page: str, apps: frozenset[str], seen: set[_Pool]) -> Mapping[Metric, str]:
    """The lines of each metric of pools, without its header; adds the pools to `seen`."""
    families: dict[tuple[_Pool, Metric], dict[str, _Sample]] = {}
    for sample in _samples(page):
        if sample.pool[0] in apps and sample.pool not in seen:
            families.setdefault((sample.pool, sample.metric), {}).setdefault(sample.part, sample)
    lines: dict[Metric, list[str]] = {}
    for (_, metric), samples in families.items():
        if metric.type != "histogram" or _is_whole(metric, samples):
            lines.setdefault(metric, []).extend(
                f"{sample.series} {number(sample.value)}\n" for sample in samples.values()
            )
    seen.update(pool for pool, _ in families)
    return {metric: "".join(texts) for metric, texts in lines.items()}


def _is_whole(metric: Metric, samples: Mapping[str, _Sample]) -> bool:
    """Whether these are the buckets, the sum and the count of a histogram, and they agree."""
    buckets = [*map(bound, metric.bounds), "+Inf"]
    if [*samples] != [*buckets, "sum", "count"]:
        return False
    counts = [samples[part].value for part in (*buckets, "count")]
    return (
        counts == sorted(counts)
        and counts[-1] == counts[-2]
        and all(count.is_integer() for count in counts)
    )


_Pool = tuple[str, ...]
"""Application, pool and process, escaped."""


class _Sample(NamedTuple):
    metric: Metric
    pool: _Pool
    part: str
    """Its labels beyond those of its pool and metric."""
    series: str
    value: float


def _samples(page: str) -> Iterator[_Sample]:
    """The samples of pools, with their labels as our own pages have them."""
    for line in page.split("\n"):
        found = _SAMPLE.fullmatch(line)
        if found is None or found["name"] not in _series_names():
            continue
        metric, names = _series_names()[found["name"]]
        pairs = _LABELS.findall(found["labels"] or "")
        labels = dict(pairs)
        own = tuple(text for _, text in pairs[len(_POOL) :])
        if [name for name, _ in pairs] != [name for name in names if name in labels]:
            continue
        wanted = names
        if metric is POOL_INFO:
            wanted, own = _POOL, ()  # one of each pool, whichever fields are known
        value = float(found["value"])
        if not labels.keys() >= {*wanted} or isinf(value):
            continue
        if own and metric.values and own[-1] not in metric.values:
            continue
        part = own[-1] if own else found["name"].removeprefix(f"{metric.name}_")
        yield _Sample(metric, tuple(labels[one] for one in _POOL), part, found["series"], value)


@lru_cache(maxsize=1)
def _series_names() -> Mapping[str, tuple[Metric, tuple[str, ...]]]:
    """Metric and label names of each series of pools."""
    names = {}
    for metric in METRICS:
        if metric.section == "pool" and metric.type == "histogram":
            names[f"{metric.name}_bucket"] = metric, (*metric.labels, "le")
            names[f"{metric.name}_sum"] = names[f"{metric.name}_count"] = metric, metric.labels
        elif metric.section == "pool":
            names[metric.name] = metric, metric.labels
    return names
