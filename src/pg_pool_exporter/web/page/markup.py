"""HTML that is escaped by construction: text becomes markup only through `element`."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from pg_pool_exporter.redaction import printable

# Longer texts are cut: they hold names from outside, and a page must stay readable.
_MOST_TEXT = 500
_MOST_NAME = 150


class Html(str):
    """Markup. Every other string is text."""

    __slots__ = ()


def element(tag: str, *children: str | None, **attributes: str | float | None) -> Html:
    """An element. Children that are no `Html` are escaped; None is left out, also as an attribute.

    In the names of attributes `_` stands for `-`; one at the end keeps a word of Python's apart.
    """
    inner = "".join(as_html(child) for child in children if child is not None)
    given = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{as_html(_plain(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    return Html(f"<{tag}{given}>{inner}</{tag}>")


def name(text: str) -> Html:
    """A name from outside: its direction of writing does not reach what stands around it."""
    return element("bdi", _cut(text, _MOST_NAME))


def join(parts: Iterable[str]) -> Html:
    """Parts one after the other."""
    return Html("".join(map(as_html, parts)))


def sentence(text: str) -> Html:
    """A sentence; what stands in it between backticks is code."""
    parts = text.split("`")
    return join(element("code", part) if at % 2 else part for at, part in enumerate(parts))


def as_html(text: str) -> str:
    """Text as markup, cut where it is too long. A character that turns the direction of writing,
    or has no glyph, is replaced: in a sentence it would reach beyond the name that it is in.
    """
    if isinstance(text, Html):
        return text
    return escape(printable(_cut(text, _MOST_TEXT)))


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"


def _plain(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"
