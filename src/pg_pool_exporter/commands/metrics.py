"""The catalogue as Markdown: the text of docs/metrics.md, printed by `pg-pool-exporter metrics`."""

from __future__ import annotations

from collections.abc import Iterator

from pg_pool_exporter.commands.options import Options
from pg_pool_exporter.commands.output import SUCCESS, write
from pg_pool_exporter.metrics import catalogue as c

_INTRODUCTION = """\
# Metrics

Printed by `pg-pool-exporter metrics` from the catalogue in the code.

How to read them:

- **Use is active / max**, `pg_pool_connections{state="active"} / pg_pool_max_connections`. It is
  never total / max: an idle pool at its maximum is healthy.
- **Absent is not 0.** A series that is missing means that this source cannot tell. A pool without
  a limit has no `pg_pool_max_connections`, so no use can be computed for it. A counter exists from
  0 on, with each value of its labels that the source can tell. Only of what is
  found or not (a site, sessions in a state, something that has an age) does a missing series mean
  that there is none.
- **Units are base units**: seconds, and seconds since the epoch for a timestamp. An age says
  `_seconds`, and its help says "age".
- **`other` stands for what was folded.** The biggest groups of sessions, and the sites with the
  most connections, have series of their own, the rest is added up (for ages: the oldest) under
  `other`. Pools beyond the cap cannot be added up and are left out. A name keeps its series until
  it has been absent or too small for 10 minutes. `pg_pool_exporter_series_folded` tells how many
  names are folded or left out now.
- **Old values go away.** Without a successful poll for 3 intervals a target's series are no longer
  shown; those about its health stay.
- **Both formats** are served, Prometheus text and OpenMetrics 1.0, chosen by `Accept`.
"""
_TITLES: dict[c.Section, str] = {
    "pool": "Pools: what an application sees",
    "server": "Servers: what PostgreSQL sees",
    "bouncer": "PgBouncer: its own family",
    "joined": "Both sides together: what neither sees alone",
    "exporter": "The exporter itself",
}
_LABELS: dict[c.Section, str] = {
    "pool": """\
`process` is `host:slot`. A successor takes over the slot, so a restarted worker goes on with the
same series; a process that could not take a slot is `host:pid-PID`. `site` is the line of code that
borrowed the connection: `file:line function`.""",
    "server": "`server` is the server's name in the configuration.",
    "bouncer": """\
`bouncer` is the bouncer's name in the configuration. Its pools belong to a database and a user, not
to an application: adding them to the applications' would count the same connection twice. A limit
of 0 is unlimited and has no series.""",
    "joined": """\
`server` is the server's name in the configuration, `app` the application. Absent, not 0, while an
answer would not be sound, for example because a known process of the application can't be read.""",
    "exporter": """\
`target` and `kind` (`server`, `log`, `app`, `process` or `bouncer`) name what is polled;
`mechanism` (`file_sd`, `http_sd` or `dns_sd`) and `place`, where targets of an `app` are looked up.
Besides these there are the usual `process_*` metrics.""",
}
# Labels whose values are all known, by the metric that has them.
VALUES = {
    c.POOL_CONNECTIONS: ("idle", "active"),
    c.POOL_TIMEOUTS: (*c.POOL_TIMEOUT_KINDS, c.OTHER),
    c.SERVER_CONNECTIONS: c.BACKEND_STATES,
    c.SERVER_OLDEST_STATE: c.BACKEND_STATES,
    c.SERVER_SESSIONS_ENDED: c.SESSION_END_REASONS,
    c.SERVER_TIMEOUTS: c.SERVER_TIMEOUT_KINDS,
    c.SERVER_REFUSED: c.REFUSAL_REASONS,
    c.BOUNCER_CONNECTIONS: c.BOUNCER_SERVER_STATES,
    c.BOUNCER_CLIENTS: c.BOUNCER_CLIENT_STATES,
    c.POLL_FAILURES: c.POLL_FAILURE_REASONS,
}


_LIBRARIES = """\
### What each Python library can tell

Of an instrumented pool, "—" is a series that is absent. What a time-out is told from, and how a
dropped connection shows, is in [instrument.md](instrument.md).
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
    """The pool metrics that some library can't tell, by library."""
    rows = [
        (f"`{metric.name}`", [metric not in absent for absent in c.LIBRARY_ABSENT.values()])
        for metric in c.METRICS
        if any(metric in absent for absent in c.LIBRARY_ABSENT.values())
    ]
    rows += [
        (
            f'`{c.POOL_TIMEOUTS.name}{{kind="{kind}"}}`',
            [kind in told for told in c.LIBRARY_TIMEOUTS.values()],
        )
        for kind in c.POOL_TIMEOUT_KINDS
    ]
    columns = "".join(f" {library} |" for library in c.LIBRARY_ABSENT)
    lines = "".join(
        f"| {name} |{''.join(f' {_CELLS[told]} |' for told in tells)}\n" for name, tells in rows
    )
    return f"{_LIBRARIES}\n| metric |{columns}\n|---|{'---|' * len(c.LIBRARY_ABSENT)}\n{lines}"


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
    if metric in VALUES:
        yield f"`{metric.labels[-1]}`: {', '.join(f'`{value}`' for value in VALUES[metric])}."
    if metric.bounds:
        yield f"Bounds in seconds: {', '.join(f'{bound:g}' for bound in metric.bounds)}."
