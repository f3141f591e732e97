"""Panels: one function a kind. Units are Grafana's: `s`, `percentunit`, `short`, `bytes`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from grafana_foundation_sdk.builders import (
    common,
    heatmap,
    prometheus,
    stat,
    table,
    text,
    timeseries,
)
from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.models import (
    common as options,
    dashboard as models,
    heatmap as heatmap_options,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from grafana_foundation_sdk.models.text import TextMode

from dashboards.builder.selection import SOURCE

Panel = timeseries.Panel | stat.Panel | table.Panel | heatmap.Panel | text.Panel
_Queried = TypeVar("_Queried", timeseries.Panel, stat.Panel, table.Panel, heatmap.Panel)
Steps = Mapping[float, str]

GREEN, YELLOW, ORANGE, RED, BLUE, GREY = "green", "yellow", "orange", "red", "blue", "text"
USE: Steps = {0.8: ORANGE, 0.9: RED}
"""Shares of a limit that no finding is about."""
ANY: Steps = {1: RED}
"""A count of what should not be there."""
HINT: Steps = {1: ORANGE}
SOON: Steps = {0: RED, 900: ORANGE, 3600: GREEN}
"""Seconds until something happens."""
NEUTRAL: Steps = {}


@dataclass(frozen=True, slots=True)
class Scale:
    """Colours by numbers that Prometheus has: orange from `low`, red from `high`.

    Both are expressions of one value each, whether or not the series that they read are there.
    """

    low: str
    high: str


@dataclass(frozen=True, slots=True)
class Query:
    """An expression, and how its series are called in the legend."""

    expr: str
    legend: str = ""
    min_step: str = ""
    """Least step: `$__rate_interval` is at least as long."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: `name` is a label, or the letter of the query whose values it shows."""

    name: str
    title: str
    unit: str = ""
    steps: Steps | Scale = field(default_factory=dict)
    mappings: Sequence[models.ValueMapping] = ()
    link: str = ""
    width: int = 0
    hidden: bool = False
    """There for links of other columns only."""


def numbers(
    title: str, description: str, unit: str, *queries: Query,
    w: int = 4, h: int = 4, steps: Steps | Scale = NEUTRAL, none: str = "none",
    mappings: Sequence[models.ValueMapping] = (),
) -> stat.Panel:  # fmt: skip
    """The value of each series now, large, coloured by `steps`; `none` where there is none."""
    panel = _with(stat.Panel(), title, description, unit, (), w, h)
    # Of a range the last value would be shown long after its series has ended.
    for number, query in enumerate(queries):
        panel = panel.with_target(_target(query, _letter(number)).instant())
    if isinstance(steps, Scale):
        for handler, expr in _limits(steps):
            panel = panel.with_target(_target(Query(expr, handler), handler).instant())
            panel = panel.with_transformation(_from_query(handler, handler, handler))
    return (
        panel.thresholds(_thresholds(steps))
        .mappings(list(mappings))
        .no_value(none)
        .color_mode(
            options.BigValueColorMode.BACKGROUND
            if steps or mappings
            else options.BigValueColorMode.VALUE
        )
        .graph_mode(options.BigValueGraphMode.NONE)
        .text_mode(options.BigValueTextMode.AUTO)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    )


def lines(
    title: str, description: str, unit: str, *queries: Query,
    w: int = 8, h: int = 7, steps: Steps = NEUTRAL, stack: Sequence[str] = (),
    limit: str = "", limit_colour: str = RED, colours: Mapping[str, str] | None = None,
    top: float | None = None, none: str = "",
) -> timeseries.Panel:  # fmt: skip
    """Lines over time; legends that match `stack` are stacked, those that match `limit` dashed."""
    panel = _with(timeseries.Panel(), title, description, unit, queries, w, h)
    panel = (
        panel.min(0)
        .line_width(1)
        .fill_opacity(8)
        .show_points(options.VisibilityMode.NEVER)
        .thresholds(_thresholds(steps))
        .thresholds_style(
            common.GraphThresholdsStyleConfig().mode(
                options.GraphThresholdsStyleMode.DASHED
                if steps
                else options.GraphThresholdsStyleMode.OFF
            )
        )
        .tooltip(
            common.VizTooltipOptions()
            .mode(options.TooltipDisplayMode.MULTI)
            .sort(options.SortOrder.DESCENDING)
        )
        .legend(
            common.VizLegendOptions()
            .display_mode(options.LegendDisplayMode.LIST)
            .placement(options.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
    )
    if top is not None:
        panel = panel.axis_soft_max(top)
    if none:
        panel = panel.no_value(none)
    for name in stack:
        panel = panel.override_by_regexp(
            name,
            [
                models.DynamicConfigValue("custom.stacking", {"mode": "normal", "group": "A"}),
                models.DynamicConfigValue("custom.fillOpacity", 40),
            ],
        )
    if limit:
        panel = panel.override_by_regexp(
            limit,
            [
                models.DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [8, 6]}),
                models.DynamicConfigValue("custom.lineWidth", 2),
                models.DynamicConfigValue("custom.fillOpacity", 0),
                _colour(limit_colour),
            ],
        )
    for name, colour in (colours or {}).items():
        panel = panel.override_by_name(name, [_colour(colour)])
    return panel


def heat(title: str, description: str, query: Query, *, w: int = 12, h: int = 8) -> heatmap.Panel:
    """How a histogram's observations in seconds are spread, over time."""
    panel = _with(heatmap.Panel(), title, description, "s", (), w, h)
    return (
        panel.with_target(_target(query, "A").format(PromQueryFormat.HEATMAP).range())
        .calculate(False)
        .cell_gap(1)
        .color(
            heatmap.HeatmapColorOptions()
            .mode(heatmap_options.HeatmapColorMode.SCHEME)
            .scheme("Oranges")
            .steps(64)
        )
        .y_axis(heatmap.YAxisConfig().unit("s").axis_placement(options.AxisPlacement.LEFT))
        .show_legend()
    )


def rows(
    title: str, description: str, queries: Mapping[str, str], columns: Sequence[Column],
    *, w: int, h: int, by: str = "", rising: str = "", none: str = "none",
) -> table.Panel:  # fmt: skip
    """A table: `queries` by letter give one row a label set; the largest `by` stands first.

    Before that, rows are sorted by `rising`, the smallest first.

    Only `columns` are shown, in their order.
    """
    panel = _with(table.Panel(), title, description, "short", (), w, h)
    scaled: dict[Scale, list[str]] = {}
    for column in columns:
        if isinstance(column.steps, Scale):
            scaled.setdefault(column.steps, []).append(column.name)
    limits = [
        (f"{names[0]}{handler}", expr, handler, names)
        for scale, names in scaled.items()
        for handler, expr in _limits(scale)
    ]
    asked = {**queries, **{letter: expr for letter, expr, _, _ in limits}}
    for letter, expr in asked.items():
        panel = panel.with_target(
            _target(Query(expr), letter).format(PromQueryFormat.TABLE).instant()
        )
    # What Grafana calls the fields.
    value = "Value" if len(asked) == 1 else "Value #{}"
    for letter, _, handler, names in limits:
        fields = "|".join(value.format(name) for name in names)
        panel = panel.with_transformation(
            _from_query(letter, value.format(letter), handler, f"/^({fields})$/")
        )
    if len(queries) > 1:
        panel = panel.with_transformation(models.DataTransformerConfig("merge", options={}))
    found = {
        one.name: value.format(one.name) if one.name in queries else one.name for one in columns
    }
    panel = (
        panel.with_transformation(
            models.DataTransformerConfig(
                "filterFieldsByName", options={"include": {"names": list(found.values())}}
            )
        )
        .with_transformation(
            models.DataTransformerConfig(
                "organize",
                options={
                    "excludeByName": {},
                    "indexByName": {found[one.name]: n for n, one in enumerate(columns)},
                    "renameByName": {found[one.name]: one.title for one in columns},
                },
            )
        )
        .no_value(none)
        .thresholds(_thresholds(NEUTRAL))
        .cell_height(options.TableCellHeight.SM)
    )
    order = [(title, falls) for title, falls in ((rising, False), (by, True)) if title]
    if order:
        panel = panel.sort_by(
            [common.TableSortByFieldState().display_name(title).desc(falls)
             for title, falls in order]
        )  # fmt: skip
    for column in columns:
        panel = panel.override_by_name(column.title, _properties(column))
    return panel


def words(title: str, description: str, content: str, *, w: int, h: int) -> text.Panel:
    """A text, in Markdown."""
    return (
        text.Panel()
        .title(title)
        .description(description)
        .span(w)
        .height(h)
        .mode(TextMode.MARKDOWN)
        .content(content)
    )


def mapped(
    values: Mapping[int, tuple[str, str]] | Mapping[str, tuple[str, str]],
) -> list[models.ValueMapping]:
    """Show words in a colour instead of these values."""
    return [
        models.ValueMap(
            {
                str(value): models.ValueMappingResult(text=words, color=colour, index=index)
                for index, (value, (words, colour)) in enumerate(values.items())
            }
        )
    ]


def _with(
    panel: _Queried, title: str, description: str, unit: str, queries: Iterable[Query],
    w: int, h: int,
) -> _Queried:  # fmt: skip
    panel = (
        panel.title(title).description(description).unit(unit).span(w).height(h).datasource(SOURCE)
    )
    for number, query in enumerate(queries):
        panel = panel.with_target(_target(query, _letter(number)).range())
    return panel


def _letter(number: int) -> str:
    return chr(ord("A") + number)


def _target(query: Query, letter: str) -> prometheus.Dataquery:
    target = (
        prometheus.Dataquery()
        .datasource(SOURCE)
        .ref_id(letter)
        .expr(query.expr)
        .legend_format(query.legend)
    )
    return target.interval(query.min_step) if query.min_step else target


def _limits(scale: Scale) -> Iterator[tuple[str, str]]:
    """What sets the numbers between which a field's values are percentages, and the numbers."""
    yield "min", scale.low
    yield "max", scale.high


def _from_query(
    letter: str, field_name: str, handler: str, only: str = ""
) -> models.DataTransformerConfig:
    """Take a setting of all fields, or of those whose names match `only`, from a query."""
    mapping = {"fieldName": field_name, "handlerKey": handler, "reducerId": "lastNotNull"}
    options: dict[str, object] = {"configRefId": letter, "mappings": [mapping]}
    if only:
        options["applyTo"] = {"id": "byRegexp", "options": only}
    return models.DataTransformerConfig("configFromData", options=options)


def _thresholds(steps: Steps | Scale) -> ThresholdsConfig:
    if isinstance(steps, Scale):
        # Grafana can't read thresholds of several colours from a query: percentages of the way
        # from a minimum to a maximum that it can read.
        return _absolute({0: ORANGE, 100: RED}).mode(models.ThresholdsMode.PERCENTAGE)
    return _absolute(steps)


def _absolute(steps: Steps) -> ThresholdsConfig:
    # "text" is neutral: the panel's own colour.
    base = GREEN if steps else GREY
    found = [models.Threshold(None, base)]
    found += [models.Threshold(value, colour) for value, colour in steps.items()]
    return ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(found)


def _properties(column: Column) -> list[models.DynamicConfigValue]:
    found: list[models.DynamicConfigValue] = []
    if column.unit:
        found.append(models.DynamicConfigValue("unit", column.unit))
    if column.steps or column.mappings:
        found.append(models.DynamicConfigValue("custom.cellOptions", {"type": "color-background"}))
        found.append(models.DynamicConfigValue("thresholds", _thresholds(column.steps).build()))
    if column.mappings:
        found.append(models.DynamicConfigValue("mappings", list(column.mappings)))
    if column.link:
        found.append(models.DynamicConfigValue("links", [{"title": "Open", "url": column.link}]))
    if column.hidden:
        found.append(models.DynamicConfigValue("custom.hidden", True))
    if column.width:
        found.append(models.DynamicConfigValue("custom.width", column.width))
    return found


def _colour(colour: str) -> models.DynamicConfigValue:
    return models.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": colour})
