"""Tables that stay tables for a screen reader, even where a phone shows each row as a block."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pg_pool_exporter.web.page.markup import Html, element, join


def table(caption: str, columns: Sequence[str], rows: Iterable[Html], kind: str = "") -> Html:
    """A table with its head. Roles are explicit: a style sheet that changes a row's layout removes
    the implicit ones.
    """
    head = join(element("th", name, scope="col", role="columnheader") for name in columns)
    return element(
        "table",
        element("caption", caption),
        element("thead", element("tr", head, role="row"), role="rowgroup"),
        element("tbody", join(rows), role="rowgroup"),
        role="table",
        class_=kind or None,
    )


def row(columns: Sequence[str], first: Html, *cells: str | None, kind: str = "") -> Html:
    """A row; `first` is its head. An empty cell shows a dash."""
    named = zip(columns[1:], cells, strict=True)
    return element(
        "tr",
        element("th", first, scope="row", role="rowheader"),
        join(
            element("td", cell or "-", role="cell", data_name=name,
                    class_=None if cell else "none")
            for name, cell in named
        ),
        role="row",
        class_=kind or None,
    )  # fmt: skip
