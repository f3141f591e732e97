"""Pages of other libraries, of a format that is detected."""

from __future__ import annotations

from pathlib import Path

from fuzz.harness import Harness, pure
from fuzz.inputs.native_pages import check_page
from pg_pool_exporter.formats import FORMATS
from pg_pool_exporter.metrics.text_format import Blocks
from pg_pool_exporter.sources.pages.series.foreign_page import automatic
from pg_pool_exporter.sources.pages.target_defaults import TargetDefaults
from support.pages import good_page

DEFAULTS = TargetDefaults(app="orders", process="orders:8080", server="main", max_connections=20)
PAGES = Path(__file__).parents[2] / "pages"


def _check(data: bytes) -> list[Blocks]:
    return check_page(data, automatic(), DEFAULTS)


HARNESS = Harness(
    name="foreign_pages",
    seeds=[
        *(path.read_bytes() for path in sorted(PAGES.glob("*.txt"))),
        good_page(),
    ],
    tokens=[
        *sorted({name.encode() for form in FORMATS.values() for name in form.names()}),
        b"# TYPE ", b"# EOF\n", b"_total", b'{pool="main"} 1\n', b',state="idle"', b'pool=""',
        b'"postgresql://u:p@db:5432/shop"', b'"Host=h;Password=p"', b" 2147483647\n",
    ],
    start=pure(_check),
)  # fmt: skip
