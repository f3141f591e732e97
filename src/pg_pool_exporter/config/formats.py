"""Formats of pages that users describe themselves (`formats:`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, Strict, field_validator

from pg_pool_exporter.config.section import Section
from pg_pool_exporter.config.values import Name, matching
from pg_pool_exporter.formats import (
    AUTO,
    FORMATS,
    JOLOKIA,
    MICROSECONDS,
    MILLISECONDS,
    NANOSECONDS,
    NATIVE_NAME,
    Condition,
    Format,
    Value,
)
from pg_pool_exporter.metrics.series import POOL, TIMES

KNOWN_FORMATS = (AUTO, NATIVE_NAME, *FORMATS, JOLOKIA)
"""The values of an app's `format` without a section of their own."""

MAX_ALIASES = 20

_SCALES = {"s": 1.0, "ms": MILLISECONDS, "us": MICROSECONDS, "ns": NANOSECONDS}
# By the key under `values`: the field of the sample, and its own key where it is a mapping.
_VALUES = {scalar.field: (scalar.field, "") for scalar in POOL.scalars} | {
    "pool_timeouts": ("timeouts", "pool"),
    "connect_timeouts": ("timeouts", "connect"),
}


def _value_name(value: str) -> str:
    if value not in _VALUES:
        raise ValueError(f"must hold none but {', '.join(_VALUES)}")
    return value


def _conditions(labels: Mapping[str, str]) -> tuple[Condition, ...]:
    return tuple(Condition((label,), text) for label, text in labels.items())


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _some(value: tuple[str, ...]) -> tuple[str, ...]:
    if not 1 <= len(value) <= MAX_ALIASES:
        raise ValueError(f"must name 1 to {MAX_ALIASES}")
    return value


def _with_series(value: Any) -> Any:
    return {"series": value} if isinstance(value, (str, list)) else value


# A wildcard needs text beside it.
_SeriesName = Annotated[
    str,
    matching(
        r"[a-zA-Z_:][a-zA-Z0-9_:]{0,199}\*?|\*[a-zA-Z0-9_:]{3,199}",
        "must be the name of a series: letters, digits and _",
    ),
]
_LabelName = Annotated[
    str,
    matching(r"[a-zA-Z_][a-zA-Z0-9_]{0,199}", "must be the name of a label: letters, digits and _"),
]


class ValueConfig(Section):
    """Which series hold one value of a pool."""

    series: Annotated[
        tuple[_SeriesName, ...], Strict(False), BeforeValidator(_listed), AfterValidator(_some)
    ]
    """Names; of several on one page the first counts."""
    labels: dict[_LabelName, str] = Field(default_factory=dict)
    """Labels that the series must have, with these values; `*` at the end stands for any text."""
    unit: Literal["s", "ms", "us", "ns"] = "s"
    """In which a time is given."""


class FormatConfig(Section):
    """A format of a library's metrics (`formats:`)."""

    name: Name
    client: str = Field(default="", max_length=63)
    """The pool library: a label of `pg_pool_info`."""
    pool: Annotated[
        tuple[_LabelName, ...], Strict(False), BeforeValidator(_listed), AfterValidator(_some)
    ] = ()
    """Labels that together name a pool."""
    process: _LabelName | None = None
    """The label that distinguishes processes on one page."""
    labels: dict[_LabelName, str] = Field(default_factory=dict)
    """Labels that all series must have, with these values: others are about something else."""
    values: dict[
        Annotated[str, AfterValidator(_value_name)],
        Annotated[ValueConfig, BeforeValidator(_with_series)],
    ]

    @field_validator("name")
    @classmethod
    def _is_new(cls, value: str) -> str:
        if value in KNOWN_FORMATS:
            raise ValueError("must not be the name of a format that is known already")
        return value

    @field_validator("values")
    @classmethod
    def _have_units_where_they_are_times(
        cls, value: dict[str, ValueConfig]
    ) -> dict[str, ValueConfig]:
        if not value:
            raise ValueError("must hold at least one value")
        for name, config in value.items():
            if config.unit != "s" and name not in TIMES:
                raise ValueError(f"must have no unit for {name}, which is no time")
        return value

    @property
    def format(self) -> Format:
        """The format that is described."""
        return Format(
            name=self.name,
            title=self.name,
            client=self.client,
            pool=tuple((label,) for label in self.pool),
            process=((self.process,),) if self.process else (),
            only=_conditions(self.labels),
            values=tuple(_value(*_VALUES[name], config) for name, config in self.values.items()),
        )


def _value(field: str, kind: str, config: ValueConfig) -> Value:
    return Value(field, config.series, _conditions(config.labels), _SCALES[config.unit], kind)
