"""Chooses format and encoding by `Accept` and `Accept-Encoding` (RFC 9110, section 12.5)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

# Several times what any client sends. Parsing unclosed quotes takes quadratic time.
_MAX_LENGTH = 1000

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_PARAMETER = re.compile(rf"\s*;\s*({_WORD})\s*=\s*({_WORD}|{_QUOTED})")
_MEMBER = re.compile(rf"(?:{_QUOTED}|[^,])+")
_ELEMENT = re.compile(rf"\s*({_WORD}(?:/{_WORD})?)((?:{_PARAMETER.pattern})*)\s*")
_WEIGHT = re.compile(r"0(?:\.\d{0,3})?|1(?:\.0{0,3})?")


class _Element(NamedTuple):
    """One member of the list; `value` and the parameters' names are in lower case."""

    value: str
    parameters: dict[str, str]
    weight: float


class _Offer(NamedTuple):
    """A format that is served. A range with another version does not match it."""

    media_type: str
    version: str


_TEXT = _Offer("text/plain", "0.0.4")
_OPENMETRICS = _Offer("application/openmetrics-text", "1.0.0")


# A scraper sends the same header each time. Few are kept: a client can send others forever.
@lru_cache(maxsize=64)
def prefers_openmetrics(accept: str) -> bool:
    """Whether a client prefers OpenMetrics 1.0.0 to text 0.0.4.

    The weight of a format is that of the most specific range that matches it. Of equal weights the
    more specific range wins, then text. Text is also the choice when nothing matches: serving a
    client with an odd header is better than refusing it.
    """
    ranges = list(_elements(accept))
    return _rank(ranges, _OPENMETRICS) > _rank(ranges, _TEXT)


@lru_cache(maxsize=64)
def accepts_gzip(accept_encoding: str) -> bool:
    """Whether gzip is allowed, with at least the weight of no compression."""
    weights = {element.value: element.weight for element in _elements(accept_encoding)}
    anything = weights.get("*", 0.0)
    gzip = weights.get("gzip", weights.get("x-gzip", anything))
    return gzip > 0 and gzip >= weights.get("identity", 0.0)


def _rank(ranges: list[_Element], offer: _Offer) -> tuple[float, int]:
    """The weight of `offer` and the specificity of the range it comes from; zeros: refused."""
    matches = [
        (specificity, element.weight)
        for element in ranges
        if (specificity := _specificity(element, offer))
    ]
    specificity, weight = max(matches, default=(0, 0.0))
    return (weight, specificity) if weight else (0.0, 0)


def _specificity(element: _Element, offer: _Offer) -> int:
    """0: no match; 1: `*/*`; 2: `type/*`; 3: the type; 4: the type and its version."""
    if element.value == "*/*":
        return 1
    if element.value == offer.media_type.split("/")[0] + "/*":
        return 2
    if element.value != offer.media_type:
        return 0
    # Other parameters (charset, escaping) do not change these formats.
    version = element.parameters.get("version")
    if version is None:
        return 3
    return 4 if version == offer.version else 0


def _elements(header: str) -> Iterator[_Element]:
    """The members of a list header, without malformed ones and those beyond `_MAX_LENGTH`."""
    for member in _MEMBER.findall(header[:_MAX_LENGTH]):
        match = _ELEMENT.fullmatch(member)
        if match is None:
            continue
        parameters = {
            name.lower(): value.strip('"') for name, value in _PARAMETER.findall(match[2])
        }
        weight = parameters.pop("q", "1")
        if _WEIGHT.fullmatch(weight):
            yield _Element(match[1].lower(), parameters, float(weight))
