"""HTML that is escaped by construction: text becomes markup only through `element`."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from pg_pool_exporter.redaction import printable

# Longer texts are cut: they hold names from outside, and a page must stay readable.
_MOST_TEXT = 500
_MOST_NAME = 150

POOLS_LEFT_OUT = "more pools are not shown; the metrics have all of them."


class Html(str):
    """Markup. Every other string is text."""

    __slots__ = ()


def element(tag: str, *children: str | None, **attributes: str | float | None) -> Html:
    """An element. Children that are not `Html` are escaped; None is left out, as an attribute too.

    In attribute names `_` stands for `-`; one at the end avoids Python's keywords.
    """
    inner = "".join(as_html(child) for child in children if child is not None)
    given = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{as_html(_plain(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    return Html(f"<{tag}{given}>{inner}</{tag}>")


def section(anchor: str, title: str, *children: str | None) -> Html:
    """A section of the page with its heading; `anchor` is where links lead."""
    heading = element("h2", title, id=f"{anchor}-title")
    return element(
        "section", heading, *children, id=anchor, aria_labelledby=f"{anchor}-title"
    )  # fmt: skip


def left_out(more: int, words: str = "more are not shown.") -> Html | None:
    """The line for what is over a limit; None where nothing is."""
    return element("p", f"{more} {words}") if more > 0 else None


def name(text: str) -> Html:
    """A name from outside, isolated from the text around it: it may be written right to left."""
    return element("bdi", _cut(text, _MOST_NAME))


def linked(text: Html, address: str | None) -> Html:
    """The text, as a link where there is an address."""
    return text if address is None else element("a", text, href=address)


def join(parts: Iterable[str]) -> Html:
    """The parts, concatenated."""
    return Html("".join(map(as_html, parts)))


def sentence(text: str) -> Html:
    """A sentence; backticks mark code."""
    parts = text.split("`")
    return join(element("code", part) if at % 2 else part for at, part in enumerate(parts))


def as_html(text: str) -> str:
    """Text as markup, cut at a maximum. Characters that change the direction of writing, or are
    not printable, are replaced: their effect would reach beyond their name.
    """
    if isinstance(text, Html):
        return text
    return escape(printable(_cut(text, _MOST_TEXT)))


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"


def _plain(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"
