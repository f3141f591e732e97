"""A `log_line_prefix` and, after a line end, what precedes the severity of a line."""

from __future__ import annotations

import re
from functools import lru_cache

from fuzz.harness import Harness, pure
from pg_pool_exporter.metrics.text_format import Blocks
from pg_pool_exporter.sources.server_log.format.known_prefixes import KNOWN_PREFIXES
from pg_pool_exporter.sources.server_log.format.prefix import Prefix, parse
from support.log_prefixes import Session, line

_SESSIONS = (
    Session("app", "shop"), Session("a@b", "web shop", "PostgreSQL JDBC Driver", "[local]"),
    Session("x,db=y", "[x] y", "a b", "::1"),
)  # fmt: skip


@lru_cache(maxsize=1000)
def _patterns(prefix: Prefix) -> tuple[re.Pattern[bytes], ...]:
    both = (prefix, prefix.headless)
    return tuple(re.compile(one) for of in both for one in (of.pattern, of.strict) if one)


def _check(data: bytes) -> list[Blocks]:
    text, _, header = data.partition(b"\n")
    prefix = parse(text.decode("utf-8", "replace")[:200])
    header = header.partition(b"\n")[0][:1100]
    for pattern in _patterns(prefix):
        pattern.fullmatch(header)
    candidates = prefix.candidates(header)
    strict = re.compile(prefix.strict).fullmatch(header) if prefix.strict is not None else None
    if strict is not None and prefix.has_database and candidates is not None:
        certain = (strict["database"] or b"").strip()
        assert candidates <= {certain}, "a line that is certain can be read in another way"
    return []


def _seed(prefix: str, session: Session) -> bytes:
    return prefix.encode() + b"\n" + line(prefix, session, "", "").removesuffix(b":  \n")


HARNESS = Harness(
    name="log_prefixes",
    seeds=[_seed(prefix, one) for prefix in KNOWN_PREFIXES if prefix for one in _SESSIONS],
    tokens=[
        *(b"%" + bytes([one]) for one in b"abcdehilLmnpPQqrstuvx%"), b"%-10d", b"%5u", b"@", b" ",
        b"[", b"]", b":", b",", b"=", b"2026-11-28 22:30:00.123 UTC", b"shop", b"10.0.0.7(50000)",
    ],
    start=pure(_check),
    max_bytes=1400,
)  # fmt: skip
