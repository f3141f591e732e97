"""Which format and which encoding a client gets."""

from __future__ import annotations

import time

import pytest

from pg_pool_exporter.web.negotiation import accepts_gzip, prefers_openmetrics
from support.busy import within

PROMETHEUS_2_42 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)
PROMETHEUS_3_TEXT_FIRST = "text/plain;version=0.0.4;q=0.6," + PROMETHEUS_3
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        ("", False),
        ("*/*", False),
        (BROWSER, False),
        (PROMETHEUS_2_42, True),
        (PROMETHEUS_3, True),
        (PROMETHEUS_3_TEXT_FIRST, False),
        ("text/plain", False),
        ("text/plain;version=0.0.4", False),
        ("application/openmetrics-text", True),
        ("Application/OpenMetrics-Text", True),
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", True),
        ('application/openmetrics-text;version="1.0.0"', True),
        # Only another version of it.
        ("application/openmetrics-text;version=0.0.1", False),
        ("application/openmetrics-text;version=2.0.0, text/plain;q=0.1", False),
        # Weights.
        ("application/openmetrics-text;q=0.4, text/plain;q=0.5", False),
        ("application/openmetrics-text;q=0.5, text/plain;q=0.4", True),
        ("text/plain;q=0.9, application/openmetrics-text", True),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=0, */*;q=0", False),
        ("text/plain;q=0, */*", True),
        ("application/openmetrics-text;q=0, application/*", False),
        # Equal weights: the more specific one, then text.
        ("text/plain, application/openmetrics-text", False),
        ("*/*, application/openmetrics-text", True),
        ("text/*, application/openmetrics-text", True),
        ("application/*", True),
        ("application/*, text/*", False),
        ("text/plain, application/openmetrics-text;version=1.0.0", True),
        # A specific range says more about its format than a general one.
        ("*/*;q=0.9, application/openmetrics-text;q=0.1", False),
        ("application/*;q=0.1, application/openmetrics-text;q=0.9, text/plain;q=0.5", True),
        # Malformed members say nothing, the others hold.
        ("application/openmetrics-text;q=2", False),
        ("application/openmetrics-text;q=-1", False),
        ("application/openmetrics-text;q=0.1234", False),
        ("application/openmetrics-text;q=", False),
        (";;,,=,application/openmetrics-text", True),
        ('text/plain;x="a,application/openmetrics-text;q=1"', False),
        ('x/y;z="\\",", application/openmetrics-text', True),
        ("text/plain;q=0.5 application/openmetrics-text", False),
        ("  application/openmetrics-text ; q=1.000 , text/plain;q=0.999", True),
        ('"' * 4000, False),
        ("a;" * 4000, False),
    ],
)
def test_the_format_follows_the_accept_header(accept: str, openmetrics: bool) -> None:
    assert prefers_openmetrics(accept) is openmetrics


@pytest.mark.parametrize(
    ("accept_encoding", "gzip"),
    [
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("gzip, deflate, br, zstd", True),
        ("gzip;q=0", False),
        ("gzip;q=0.0, *", False),
        ("gzip;q=0.001", True),
        ("*", True),
        ("*;q=0", False),
        ("identity", False),
        ("identity, gzip", True),
        ("identity;q=1, gzip;q=0.5", False),
        ("identity;q=0.5, gzip;q=0.5", True),
        ("identity;q=0.5, *;q=0.1", False),
        ("deflate", False),
        ("gzip;q=nan", False),
        ("gzip;level=9", True),
        ("notgzip", False),
    ],
)
def test_gzip_is_used_when_it_is_wanted(accept_encoding: str, gzip: bool) -> None:
    assert accepts_gzip(accept_encoding) is gzip


def test_a_hostile_header_of_a_megabyte_takes_no_time() -> None:
    started = time.perf_counter()
    prefers_openmetrics('"' + '\\"' * 500_000)
    accepts_gzip("gzip;a=" * 150_000)
    assert time.perf_counter() - started < within(1)
