"""The whole page."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from hashlib import sha256
from importlib import resources

from pg_pool_exporter import __version__
from pg_pool_exporter.analysis.analyzer import Analysis
from pg_pool_exporter.analysis.finding import Verdict
from pg_pool_exporter.analysis.fleet_view import FleetView
from pg_pool_exporter.analysis.wording import number, spell
from pg_pool_exporter.web.page.bouncers import bouncers_section
from pg_pool_exporter.web.page.checklist import checklist_section, warnings_in_brief
from pg_pool_exporter.web.page.findings import in_brief, in_full, verdict
from pg_pool_exporter.web.page.markup import Html, as_html, element, join
from pg_pool_exporter.web.page.pools import pools_section
from pg_pool_exporter.web.page.servers import servers_section
from pg_pool_exporter.web.page.targets import targets_section
from pg_pool_exporter.web.paths import RUNBOOKS

REFRESH_SECONDS = 10

_STYLE = resources.files(__package__).joinpath("style.css").read_text("utf-8")
_STYLE_HASH = base64.b64encode(sha256(_STYLE.encode()).digest()).decode()
CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""Nothing but the page's own style sheet: markup that got past the escaping could do nothing."""

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
{refresh}<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""


def document(
    analysis: Analysis,
    now: float,
    late: float | None = None,
    *,
    telemetry_path: str,
    findings_path: str,
    refresh: bool,
    runbooks: str = RUNBOOKS,
) -> bytes:
    """The page, in UTF-8.

    `now` is the time, in seconds since the epoch; `late` the age of an analysis that the next one
    should have replaced, in seconds; with `refresh` the page reloads itself;
    `runbooks` is their address.
    """
    fleet, findings = analysis.fleet, analysis.findings
    severity, words = verdict(findings) if findings else _without_findings(analysis, late)
    meta = f'<meta http-equiv="refresh" content="{REFRESH_SECONDS}">\n' if refresh else ""
    sections = (
        in_full(findings, runbooks),
        pools_section(fleet.pools),
        bouncers_section(fleet.bouncer_pools),
        servers_section(fleet.servers),
        targets_section(fleet.targets, now),
        checklist_section(analysis.checks),
    )
    body = join(
        [
            element(
                "header",
                element("h1", words, class_="verdict"),
                None if late is None else element("p", element("strong", _late(late))),
                in_brief(findings) if findings else warnings_in_brief(analysis.checks),
                element("p", _counts(fleet), class_="counts"),
                class_=severity,
            ),
            element("main", join(one for one in sections if one is not None)),
            element("footer", _footer(now, refresh, telemetry_path, findings_path)),
        ]
    )
    text = _PAGE.format(
        refresh=meta, title=as_html(f"{words} - pg-pool-exporter"), style=_STYLE, body=body
    )
    return text.encode()


def _late(seconds: float) -> str:
    return (
        f"All of this was known {spell(seconds)} ago: the analysis hangs. Restart the exporter, "
        "and please report it."
    )


def _without_findings(analysis: Analysis, late: float | None) -> tuple[str, str]:
    """How good it is (a class), and in words: only what has been read is known, and good."""
    fleet = analysis.fleet
    if late is not None:
        return "warning", "Nothing is known of the last minutes"
    if analysis.failed:
        return "warning", "An analysis failed: see the log"
    if not fleet.targets:
        return "warning", "Nothing is watched"
    warnings = sum(one.verdict is Verdict.WARNING for one in analysis.checks)
    if not fleet.pools and not fleet.bouncer_pools:
        if all(not one.health.polls for one in fleet.targets):
            return "", "Nothing is known yet"
        return "warning" if warnings else "", "No pool is watched"
    if warnings:
        return "warning", number(warnings, "warning", "warnings")
    return "fine", "Nothing is wrong"


def _counts(fleet: FleetView) -> str:
    up = sum(one.health.up for one in fleet.targets)
    return ", ".join(
        [
            number(len(fleet.pools), "pool", "pools"),
            number(sum(one.key.kind == "server" for one in fleet.targets), "server", "servers"),
            f"{up} of {number(len(fleet.targets), 'target', 'targets')} up",
        ]
    )


def _footer(now: float, refresh: bool, telemetry_path: str, findings_path: str) -> Html:
    links = (
        (telemetry_path, "Metrics"),
        (findings_path, "Findings as JSON"),
        ("/-/healthy", "Health"),
        ("/-/ready", "Readiness"),
        ("/?refresh=off", "Stop refreshing") if refresh else ("/", "Refresh automatically"),
    )
    time = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    every = f", refreshed every {REFRESH_SECONDS} s" if refresh else ""
    return join(
        [
            element(
                "nav",
                element("ul", join(element("li", element("a", words, href=path))
                                   for path, words in links)),
                aria_label="Other pages",
            ),
            element("p", f"pg-pool-exporter {__version__}, {time}{every}"),
        ]
    )  # fmt: skip
