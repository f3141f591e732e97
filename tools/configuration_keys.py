"""Tables of the configuration's keys: type and default from the code, examples from the example.

Only the last column, what a key changes, is written by hand: in docs/reference/configuration.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml
from annotated_types import Ge, Le
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from pg_pool_exporter.config import (
    AppConfig,
    BouncerConfig,
    Config,
    DnsSdConfig,
    HttpSdConfig,
    KubernetesSdConfig,
    LogConfig,
    PoolConfig,
    Section,
    ServerConfig,
)
from pg_pool_exporter.config.discovery_values import RefreshInterval
from pg_pool_exporter.config.formats import FormatConfig, ValueConfig
from pg_pool_exporter.config.http_client import BasicAuth, HttpClientConfig, TlsConfig
from pg_pool_exporter.config.models import FactsConfig, ProcessesConfig
from pg_pool_exporter.config.thresholds import PoolThresholds
from pg_pool_exporter.config.values import Duration, Interval, Timeout
from support.rule_files import ROOT

# By heading: the model, the keys on the way to it in the example, and keys that stand elsewhere.
_REQUESTS = frozenset(HttpClientConfig.model_fields)
SECTIONS: Mapping[str, tuple[type[Section], tuple[str, ...], frozenset[str]]] = {
    "The file": (Config, (), frozenset()),
    "processes": (ProcessesConfig, ("processes",), frozenset()),
    "servers": (ServerConfig, ("servers",), frozenset()),
    "servers: facts": (FactsConfig, ("servers", "facts"), frozenset()),
    "servers: log": (LogConfig, ("servers", "log"), frozenset()),
    "apps": (AppConfig, ("apps",), _REQUESTS),
    "apps: pools": (PoolConfig, ("apps", "pools"), frozenset()),
    "apps, http_sd, kubernetes_sd: requests": (HttpClientConfig, ("apps",), frozenset()),
    "basic_auth": (BasicAuth, ("apps", "basic_auth"), frozenset()),
    "tls_config": (TlsConfig, ("apps", "tls_config"), frozenset()),
    "apps: http_sd": (HttpSdConfig, ("apps", "http_sd"), _REQUESTS),
    "apps: dns_sd": (DnsSdConfig, ("apps", "dns_sd"), frozenset()),
    "apps: kubernetes_sd": (KubernetesSdConfig, ("apps", "kubernetes_sd"), _REQUESTS),
    "pgbouncers": (BouncerConfig, ("pgbouncers",), frozenset()),
    "formats": (FormatConfig, ("formats",), frozenset()),
    "formats: values": (ValueConfig, ("formats", "values"), frozenset()),
}
_TABLE = re.compile(
    r"^## (.*)\n((?:(?!## ).*\n)*?)(\| key \| type \|.*\n\|.*\n)((?:\|.*\n)*)", re.MULTILINE
)
_ROW = re.compile(r"^\| `(\w+)` \|.*\| (.*?) ?\|$", re.MULTILINE)
_DURATIONS = (Duration, Interval, RefreshInterval, Timeout)
_EXAMPLE = yaml.safe_load((ROOT / "config.example.yaml").read_text())
_LONGEST = 90
_STAND_IN = {"interval": 5.0, "name": "the `name`"}


def with_keys(page: str) -> str:
    """The page, its tables of keys made anew."""

    def table(found: re.Match[str]) -> str:
        heading, before, header, rows = found.groups()
        changes = dict(_ROW.findall(rows))
        return f"## {heading}\n{before}{header}" + "".join(_rows(heading, changes))

    return _TABLE.sub(table, page)


def _rows(heading: str, changes: Mapping[str, str]) -> Iterator[str]:
    model, path, elsewhere = SECTIONS[heading]
    kinds = get_type_hints(model, include_extras=True)
    for key, field in model.model_fields.items():
        if key not in elsewhere:
            examples = [*_examples(_EXAMPLE, (*path, key)), *_examples(_EXAMPLE, ("servers", key))]
            kind, example = kinds[key], _code(examples[0] if examples else None)
            cells = _type(kind, field), _default(kind, field), example, changes.get(key, "")
            yield f"| `{key}` | {' | '.join(cells)} |\n"


def _examples(value: Any, path: tuple[str, ...]) -> Iterator[Any]:
    """The values at `path`; the entries of a list count as its own."""
    if isinstance(value, list) and path:
        for one in value:
            yield from _examples(one, path)
    elif not path:
        yield value
    elif isinstance(value, dict) and path[0] in value:
        yield from _examples(value[path[0]], path[1:])
    elif isinstance(value, dict) and path[0] in ("series", "labels", "unit"):
        for one in value.values():
            yield from _examples(one, path)


def _type(kind: Any, field: FieldInfo) -> str:
    kind = _without_none(kind)
    if kind in _DURATIONS:
        return "duration"
    while get_origin(kind) is Annotated:
        kind, *_ = get_args(kind)
    if get_origin(kind) is Literal:
        return ", ".join(f"`{one}`" for one in get_args(kind))
    if get_origin(kind) is tuple:
        return f"list: {_section(get_args(kind)[0]) or 'text'}"
    if get_origin(kind) is dict:
        return "mapping"
    if kind is int and field.metadata:
        (least,) = (one.ge for one in field.metadata if isinstance(one, Ge))
        (most,) = (one.le for one in field.metadata if isinstance(one, Le))
        return f"{least} to {most}"
    return _NAMES.get(kind) or _section(kind) or "number or text"


_NAMES = {bool: "`true`, `false`", str: "text", SecretStr: "connection string"}


def _section(kind: Any) -> str:
    """A link to the table of a section's keys; empty for anything else."""
    if not (isinstance(kind, type) and issubclass(kind, Section)):
        return ""
    if issubclass(kind, PoolThresholds):
        return "[section](#thresholds)"
    (heading,) = (heading for heading, (model, *_) in SECTIONS.items() if model is kind)
    return f"[section](#{re.sub(r'[^a-z0-9_ -]', '', heading.lower()).replace(' ', '-')})"


def _without_none(kind: Any) -> Any:
    if get_origin(kind) not in (Union, UnionType):
        return kind
    some = [one for one in get_args(kind) if one is not type(None)]
    return some[0] if len(some) == 1 else kind


def _default(kind: Any, field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data=_STAND_IN)
    if value in (None, "", (), {}) or isinstance(value, Section):
        return "none"
    if _without_none(kind) in _DURATIONS or isinstance(value, float):
        return f"`{value:g}s`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return value if "`" in str(value) else f"`{value}`"


def _code(example: Any) -> str:
    """The example in one line; empty where it is too long, or a section with a table of its own."""
    if example is None:
        return ""
    if isinstance(example, list):
        example = example[:1]  # one is enough
    text = yaml.safe_dump(example, default_flow_style=True, width=10_000).strip()
    text = text.removesuffix("...").strip()
    return f"`{text}`" if len(text) <= _LONGEST and "|" not in text else ""
