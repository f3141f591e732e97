"""The whole page."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from importlib import resources

from pg_pool_exporter import __version__
from pg_pool_exporter.analysis.analyzer import Analysis
from pg_pool_exporter.web.links import WITHOUT_DASHBOARDS, Links
from pg_pool_exporter.web.page.bouncers import bouncers_section
from pg_pool_exporter.web.page.checklist import checklist_section
from pg_pool_exporter.web.page.findings import in_full
from pg_pool_exporter.web.page.markup import Html, as_html, element, join, name
from pg_pool_exporter.web.page.overview import overview, verdict_in_words
from pg_pool_exporter.web.page.pools import pools_section
from pg_pool_exporter.web.page.servers import servers_section
from pg_pool_exporter.web.page.sizes import sizes_section
from pg_pool_exporter.web.page.targets import targets_section

REFRESH_SECONDS = 10


def _resource(name: str) -> tuple[str, str]:
    """A file's text, and its hash as the policy names it."""
    text = resources.files(__package__).joinpath(name).read_text("utf-8")
    return text, f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}'"


_STYLE, _STYLE_HASH = _resource("style.css")
_SCRIPT, _SCRIPT_HASH = _resource("refresh.js")
CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src {_STYLE_HASH}; script-src {_SCRIPT_HASH}; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
"""Nothing but the page's own style sheet and script: markup that got past the escaping could do
nothing. The script may only read the page again, and never makes markup of text.
"""

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
{refresh}<title>{title}</title>
<style>{style}</style>
</head>
{body}
</html>
"""
_WITHOUT_SCRIPT = f'<noscript><meta http-equiv="refresh" content="{REFRESH_SECONDS}"></noscript>\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the page is served, and where it leads."""

    host: str
    """The exporter's, as its page names it."""
    telemetry_path: str
    findings_path: str
    links: Links = WITHOUT_DASHBOARDS


def document(
    analysis: Analysis, now: float, late: float | None = None, *, place: Place, refresh: bool
) -> bytes:
    """The page, in UTF-8.

    `now` is the time, in seconds since the epoch; `late` the age of an analysis that the next one
    should have replaced, in seconds; with `refresh` the page refreshes itself.
    """
    fleet, findings, links = analysis.fleet, analysis.findings, place.links
    sections = (
        in_full(findings, links),
        pools_section(fleet.pools, links),
        sizes_section(analysis.advice),
        bouncers_section(fleet.bouncer_pools, fleet.limits),
        servers_section(fleet.servers, links),
        targets_section(fleet.targets, now),
        checklist_section(analysis.checks),
    )
    body = element(
        "body",
        element("p", id="no-answer", role="alert", hidden=""),
        element("header", _masthead(place, now), overview(analysis, late)),
        element("main", join(one for one in sections if one is not None)),
        element("footer", _footer(refresh, place)),
        element("script", Html(_SCRIPT)) if refresh else None,
        data_refresh=REFRESH_SECONDS if refresh else None,
    )
    _, words = verdict_in_words(analysis, late)
    text = _PAGE.format(
        refresh=_WITHOUT_SCRIPT if refresh else "",
        title=as_html(f"{words} - {place.host} - pg-pool-exporter"),
        style=_STYLE,
        body=body,
    )
    return text.encode()


def _masthead(place: Place, now: float) -> Html:
    """Which exporter this is, of when, and the way to the dashboards."""
    dashboard = place.links.fleet()
    time = datetime.fromtimestamp(now, UTC)
    return element(
        "div",
        element("strong", "pg-pool-exporter"),
        element("span", name(place.host)),
        element("span", f"version {__version__}"),
        element("time", time.strftime("%Y-%m-%d %H:%M:%S UTC"), datetime=time.isoformat()),
        element("a", "Dashboards", href=dashboard) if dashboard else None,
        class_="masthead",
    )


def _footer(refresh: bool, place: Place) -> Html:
    links = (
        (place.telemetry_path, "Metrics"),
        (place.findings_path, "Findings as JSON"),
        ("/-/healthy", "Health"),
        ("/-/ready", "Readiness"),
        ("/?refresh=off", f"Stop refreshing (every {REFRESH_SECONDS} s)")
        if refresh
        else ("/", "Refresh automatically"),
    )
    items = (element("li", element("a", words, href=path)) for path, words in links)
    return element("nav", element("ul", join(items)), aria_label="Other pages")
