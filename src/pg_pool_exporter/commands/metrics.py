"""`pg-pool-exporter metrics`: the catalogue as Markdown, the text of docs/reference/metrics.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set

from pg_pool_exporter.client.libraries import KINDS
from pg_pool_exporter.client.libraries.drivers import timeouts
from pg_pool_exporter.commands.options import Options
from pg_pool_exporter.commands.other_clients import OTHER_CLIENTS
from pg_pool_exporter.commands.output import SUCCESS, write
from pg_pool_exporter.metrics import catalogue as c

_INTRODUCTION = """\
# Metrics

Printed by `pg-pool-exporter metrics` from the catalogue in the code.

How to read them:

- **Utilisation is active / max**: `pg_pool_connections{state="active"} / pg_pool_max_connections`.
  Never total / max: a pool at its maximum with idle connections is healthy.
- **A missing series means unknown, never 0.** A pool without a limit has no
  `pg_pool_max_connections`, and no utilisation. Counters start at 0, with each label value that the
  source can measure. Exception: series by `site` or `state`, and ages, exist only when there is
  something to count.
- **Units are base units**: seconds, and seconds since the epoch for a timestamp. An age ends in
  `_seconds`, and its help says "age".
- **`other` is the sum of the rest.** The largest groups of sessions, and the sites with the most
  connections, have series of their own. The rest is added up under `other` (for ages: the oldest).
  Pools beyond the limit cannot be added up and are left out. A name keeps its series until it has
  been too small for 10 minutes; one that is gone makes room at once.
  `pg_pool_exporter_series_folded` counts the names that are added up or left out now.
- **Old values expire.** Without a successful poll for 3 intervals, a target's series disappear,
  except those about its health.
- **Formats** are Prometheus text and OpenMetrics 1.0, chosen by `Accept`.
"""
_TITLES: dict[c.Section, str] = {
    "pool": "Pools: the application's side",
    "server": "Servers: PostgreSQL's side",
    "bouncer": "PgBouncer",
    "joined": "Both sides together",
    "exporter": "The exporter itself",
}
_LABELS: dict[c.Section, str] = {
    "pool": """\
`process` of an instrumented process is `host:slot`. A restarted worker takes the slot of its
predecessor and continues its series. A process without a slot is `host:pid-PID`. Of a page it is
the address: `host:port` or `unix:/path/of/socket`, then the path unless it is `/metrics`, then `~`
and a digest of the query if there is one. It depends on the page alone. `site` is the
line of code that checked the connection out: `file:line function`.""",
    "server": "`server` is the server's name in the configuration.",
    "bouncer": """\
`bouncer` is the bouncer's name in the configuration. Its pools belong to a database and a user, not
to an application: do not add them to the applications' pools, which count the same connections. A
limit of 0 means unlimited and has no series.""",
    "joined": """\
`server` is the server's name in the configuration, `app` the application. Missing while the figure
cannot be proven, for example because a process of the application does not answer.""",
    "exporter": """\
`target` and `kind` (`server`, `log`, `app`, `process` or `bouncer`) name what is polled: a server,
log or bouncer by its configured name, a process by its socket, a page as `APP@ADDRESS`.
`mechanism` (`file_sd`, `http_sd`, `dns_sd` or `kubernetes_sd`) and `list` name the service
discovery of an `app`.
The usual `process_*` metrics are there, too.""",
}
_LIBRARIES = """\
### By Python library

"—" marks a series that instrumented pools of this library do not have. How timeouts and dropped
connections are recognised: [Python client](client.md).
"""
_OTHERS = """\
### By client in another language

The clients for Go, Node and Java ([clients](../../clients)) measure their pools as the Python
client does. They write no lines into the application's log, and a port shows one process.
"""
_CELLS = {True: "yes", False: "—"}


def main(_options: Options) -> int:
    """Print the documentation; the exit code."""
    write(markdown())
    return SUCCESS


def markdown() -> str:
    """The documentation of all metrics."""
    sections = {section: _section(section) for section in _TITLES}
    sections["pool"] += f"\n{_libraries()}"
    return "\n".join((_INTRODUCTION, *sections.values()))


def _libraries() -> str:
    """The metrics that some kinds of pools lack, for Python and for the other languages."""
    python = {name: (kind.unknown, {*timeouts(kind.driver)}) for name, kind in KINDS.items()}
    others = {name: (kind.unknown, kind.timeouts) for name, kind in OTHER_CLIENTS.items()}
    return f"{_LIBRARIES}\n{_table(python)}\n{_OTHERS}\n{_table(others)}"


def _table(kinds: Mapping[str, tuple[Set[str], Set[str]]]) -> str:
    """The pool metrics that some kind lacks; of each its unknown fields and its timeouts."""
    rows = [
        (f"`{metric.name}`", [unknown.isdisjoint(metric.fields) for unknown, _ in kinds.values()])
        for metric in c.METRICS
        if metric.section == "pool"
    ]
    rows += [
        (
            f'`{c.POOL_TIMEOUTS.name}{{kind="{timeout}"}}`',
            [timeout in counted for _, counted in kinds.values()],
        )
        for timeout in c.POOL_TIMEOUT_KINDS
    ]
    columns = "".join(f" {kind} |" for kind in kinds)
    lines = "".join(
        f"| {name} |{''.join(f' {_CELLS[has]} |' for has in present)}\n"
        for name, present in rows
        if not all(present) or name.startswith(f"`{c.POOL_TIMEOUTS.name}{{")
    )
    return f"| metric |{columns}\n|---|{'---|' * len(kinds)}\n{lines}"


def _section(section: c.Section) -> str:
    rows = "".join(_row(metric) for metric in c.METRICS if metric.section == section)
    return (
        f"## {_TITLES[section]}\n\n{_LABELS[section]}\n\n"
        f"| metric | type | labels | meaning |\n|---|---|---|---|\n{rows}"
    )


def _row(metric: c.Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels) or "none"
    meaning = " ".join((metric.help, *_details(metric))).replace("|", "\\|")
    return f"| `{metric.name}` | {metric.type} | {labels} | {meaning} |\n"


def _details(metric: c.Metric) -> Iterator[str]:
    if metric.values:
        yield f"`{metric.labels[-1]}`: {', '.join(f'`{value}`' for value in metric.values)}."
    if metric.bounds:
        unit = metric.name.rpartition("_")[2]
        yield f"Bounds in {unit}: {', '.join(f'{bound:g}' for bound in metric.bounds)}."
