"""Writes docs/reference/formats.md, the documentation of the formats, from their tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pg_pool_exporter.formats import (
    FORMATS,
    Aliases,
    Condition,
    Format,
    Value,
    beam,
    bouncers,
    go,
    jvm,
    node,
    opentelemetry,
    ruby,
)

_INTRODUCTION = """\
# Applications in other languages

An application that already exposes its pools' metrics needs no client of ours. List its metrics
endpoints under `apps`; its figures appear under [our names](metrics.md), as those of any other:

    apps:
      - name: orders
        targets: [http://orders:8080/actuator/prometheus]

Recipes, with the metrics of each library and how to find a leak: [Node](../how-to/node.md),
[Java](../how-to/java.md), [Go](../how-to/go.md), [.NET](../how-to/dotnet.md),
[others](../how-to/other-languages.md).

With `format: auto`, the default, a page may have any of the formats below, recognised by the names
of their series. With `format: NAME` only that one is looked for. A page without any of them
fails the poll; the log lists the formats, and what the page lacks of the nearest three.
`pg-pool-exporter explain http://orders:8080/metrics` shows what a page is read as, and which series
are not used.

- `app` is the application's name in the configuration, whatever the page says, and `pool` the
  pool's own name, or `default` without one.
- `process` is the address of the endpoint: `host:port` or `unix:/path/of/socket`, then the path
  unless it is `/metrics`, then `~` and a digest of the query if there is one. It does not change
  when other endpoints are added or removed.
- A value that is not on the page is missing, not 0. Most pages have no ages, and none has lines of
  code. A maximum that means "unlimited" (0, or Java's 2147483647) counts as missing;
  `max_connections` in the configuration replaces it.
- Summaries and histograms are read as sum and count: their bounds are not ours.
- Series that differ in a label are different pools or processes, never a sum. Labels of what was
  scraped (`instance`, `pod`, `namespace`, `service`, `job` and the like) become part of `process`,
  any other part of `pool`: `shop (db_host=db-1)`. A label whose value is the application's name is
  left out.
- A name does not change when other pools appear. One that comes beside another of the same name has
  its format, OpenTelemetry scope or a number behind it: `shop (go-sql)`. Of those that are there
  when the exporter starts, the first format below has the plain name.
- A pool named by a connection string is shown as `application user@host:port/database` with the
  other settings that are no secret, because the string can hold a password. One with
  `Pooling=false` is no pool.
- A value below 0 counts as missing: some libraries miscount. So does a sum with a part that is NaN,
  and a difference or a maximum without one of its parts.
- Of several names for one value, the first one on the page counts. A name in `_seconds` is also
  read in `_milliseconds`, as OTLP has it.
- Our own format, `native`, may lack the labels `app` and `process`. An application can add some of
  [our metrics](metrics.md) to the page of its library, such as
  `pg_pool_overdue_connections{pool="main",site="Report.java:42 month"}`: it is one pool with both,
  joined by the pool's name and the other labels. What both have is taken from ours. Names as
  exporters change them are read, too: without `_total` or the unit, counters as gauges, the meter's
  name in front (`pg_pool_pg_pool_hold_sum`), and histograms with other buckets as sum and count.
- Where a client of ours measures the pools of a page, other formats of it are not read: they would
  show the same pools again.
- `jolokia` is not a page: it reads HikariCP's MBeans through a Jolokia agent (`targets:
  [http://orders:8778/jolokia/]`), only if it is named. The pools need `registerMbeans=true`. MBeans
  have connections, limits and waiting requests, but no counters.
- A page fails as a whole when a line about a pool is wrong (one of ours that was added to a
  library's page is left out, and `explain` says why), when all values are NaN, when it is
  empty and had pools before, and when it is cut: OpenMetrics without `# EOF`, or fewer series than
  before in an answer without a length.

The last column has the versions of the real library whose page is read in the tests. Where it says
*read*, the names are from the library's source or documents; please send a real page if you have
one. What has no mark is not on the page.
"""

_YOUR_OWN = """\
## Your own

Describe other names in the configuration, and set that as the application's format:

    formats:
      - name: c3p0
        client: c3p0
        pool: [datasource]
        values:
          max: c3p0_max_pool_size
          idle: {series: c3p0_connections, labels: {state: idle}}
          active: {series: c3p0_connections, labels: {state: busy}}
          waiting: c3p0_threads_awaiting_checkout
          pool_timeouts: c3p0_checkout_timeouts_total
          acquire_wait: {series: c3p0_checkout_milliseconds_sum, unit: ms}
          acquired: c3p0_checkout_milliseconds_count

A name that begins or ends with `*` has any text there, as a namespace; two names of one pool that
fit the same beginning are an error. `labels` of the format are those that every series must have.
All keys are explained in [config.example.yaml](../../config.example.yaml). The values have the
names of the tables above, except timeouts: `pool_timeouts` and `connect_timeouts`.
"""


_LANGUAGES = {
    "Java, Kotlin, Scala": jvm,
    "OpenTelemetry in any language, and .NET": opentelemetry,
    "Go": go,
    "Node": node,
    "Ruby": ruby,
    "Elixir": beam,
    "Bouncers": bouncers,
}
_COLUMNS = {
    "maximum": ("max",),
    "in use": ("active",),
    "idle": ("idle",),
    "waiting": ("waiting", "oldest_waiting"),
    "timeouts": ("timeouts",),
    "checkouts": ("acquired", "acquire_wait"),
    "hold": ("held",),
}


def markdown() -> str:
    """The whole page."""
    parts = [_INTRODUCTION]
    parts += [f"\n## {language}\n\n{table_of(language)}" for language in _LANGUAGES]
    for form in FORMATS.values():
        parts += ["\n", *_section(form)]
    return "".join([*parts, "\n", _YOUR_OWN])


def table_of(language: str, page: str = "") -> str:
    """Which format of a language shows what; `page` is where each is described."""
    module = vars(_LANGUAGES[language]).values()
    forms = [form for form in FORMATS.values() if any(form is one for one in module)]
    return "".join(_table(forms, page))


def _table(forms: Iterable[Format], page: str) -> Iterator[str]:
    yield f"| format | libraries | {' | '.join(_COLUMNS)} | run with |\n"
    yield f"|---|---|{'---|' * len(_COLUMNS)}---|\n"
    for form in forms:
        shown = {value.field for value in form.values}
        marks = ("✓" if shown.intersection(fields) else "" for fields in _COLUMNS.values())
        name, tried = f"[`{form.name}`]({page}#{form.name})", form.run or "*read*"
        yield f"| {name} | {form.title} | {' | '.join(marks)} | {tried} |\n"


def _section(form: Format) -> Iterator[str]:
    yield f"## {form.name}\n\n{form.title}.\n\n"
    yield f"- Pool: {_all(form.pool)}.\n"
    if form.process:
        yield f"- Process: the page's address, with {_all(form.process)} where there is one.\n"
    if form.only:
        yield f"- Only series with {_conditions(form.only)}.\n"
    if form.unless:
        yield f"- No series with {_conditions(form.unless)}.\n"
    if form.yields_to:
        yield f"- Left out beside {_either(form.yields_to)}, which show the same pools.\n"
    yield f"- The names are those of {form.facts}.\n"
    yield "\n| value | series |\n|---|---|\n"
    for value in form.values:
        name = f"{value.field}, {value.kind}" if value.kind else value.field
        yield f"| {name} | {_series(value)} |\n"


def _conditions(conditions: Iterable[Condition]) -> str:
    values: dict[Aliases, list[str]] = {}
    for condition in conditions:
        values.setdefault(condition.labels, []).append(condition.value)
    return ", or with ".join(
        f"{_either(labels)} = {_either(tuple(some))}" for labels, some in values.items()
    )


def _all(labels: Iterable[Aliases]) -> str:
    return ", with ".join(map(_either, labels))


def _either(names: Aliases) -> str:
    return " or ".join(f"`{name}`" for name in names)


def _series(value: Value) -> str:
    text = _either(value.series)
    for condition in value.where:
        sign = "≠" if condition.negated else "="
        text += f" with {_either(condition.labels)} {sign} `{condition.value}`"
    if value.scale == 0:
        text = f"0 where there is {text}"
    elif value.scale > 0 and value.scale != 1:
        text += f", times {value.scale:g}"
    if value.part:
        text = f"{'less' if value.scale < 0 else 'plus'} {text}"
    return f"{text}. {value.note}" if value.note else text


if __name__ == "__main__":
    print(markdown(), end="")  # noqa: T201 - the output is the page
