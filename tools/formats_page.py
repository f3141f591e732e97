"""The documentation of the formats, from the formats themselves: `docs/apps/formats.md`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pg_pool_exporter.formats import FORMATS, Aliases, Condition, Format, Value

_INTRODUCTION = """\
# Applications in other languages

An application that serves Prometheus text about its pools needs no client of ours. List its pages
under `apps`, and its figures appear under [our names](../metrics.md), like those of any other:

    apps:
      - name: orders
        targets: [http://orders:8080/actuator/prometheus]

Recipes to paste, with what each library shows and how to find a leak: [Node](node.md),
[Java](java.md), [Go](go.md), [.NET](dotnet.md).

With `format: auto`, the default, a page may have any of the formats below; they are recognised by
the names of their series. A format that is named is the only one that is looked for. A page with
series of none of them fails the poll, and the log says what was looked for.

- `app` is the application's name in the configuration, `process` the address of the page, `pool`
  the pool's own name, or `default` where the page tells none.
- What a page doesn't tell is absent, not 0: most know no ages, and none names lines of code. A
  maximum that stands for "unlimited" (0, or Java's 2147483647) is none; `max_connections` of the
  configuration is taken in its place.
- Of summaries and histograms the sum and the count are taken: their bounds are not ours.
- A pool that is named by a connection string is called `user@host:port/database`, because the
  string can hold a password.
- A value below 0 is not known: some libraries miscount.
- Of several names for one value the first that is on the page counts. Series of the same name and
  pool that differ in other labels are added up.
- Our own format, `native`, may leave out the labels `app` and `process`. A page that has it has
  been instrumented on purpose, so nothing else on it is read.
- `jolokia` is no page: it reads HikariCP's MBeans through a Jolokia agent (`targets:
  [http://orders:8778/jolokia/]`) and has to be named. The pools need `registerMbeans=true`. There
  are the connections, the bounds and the waiting requests; MBeans have no counters.

| format | what shows its pools so |
|---|---|
"""

_YOUR_OWN = """\
## Your own

For pages with other names, describe them in the configuration and name that as the app's format:

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

All keys are explained in [config.example.yaml](../../config.example.yaml). The values have the
names of the tables above, except for time-outs, which are `pool_timeouts` and `connect_timeouts`.
"""


def markdown() -> str:
    """The whole page."""
    forms = FORMATS.values()
    parts = [
        _INTRODUCTION,
        *(f"| [`{form.name}`](#{form.name}) | {form.title} |\n" for form in forms),
    ]
    for form in forms:
        parts += ["\n", *_section(form)]
    return "".join([*parts, "\n", _YOUR_OWN])


def _section(form: Format) -> Iterator[str]:
    yield f"## {form.name}\n\n{form.title}.\n\n"
    yield f"- Pool: {_all(form.pool)}.\n"
    if form.process:
        yield f"- Process: the page's address, with {_all(form.process)} where there is one.\n"
    if form.unless:
        yield f"- Not of another database: no series with {_conditions(form.unless)}.\n"
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
    elif value.scale != 1:
        text += f", times {value.scale:g}"
    if value.part:
        text = f"plus {text}"
    return f"{text}. {value.note}" if value.note else text


if __name__ == "__main__":
    print(markdown(), end="")  # noqa: T201 - the output is the page
