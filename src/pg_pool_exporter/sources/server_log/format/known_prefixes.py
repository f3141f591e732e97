"""Values of `log_line_prefix` that platforms and tools set or recommend, and which of them fits.

From PostgreSQL's and Debian's configuration, the documentation of Amazon RDS, Azure Database,
Google Cloud SQL, Aiven, Heroku, Crunchy Bridge and Supabase, the Spilo image, the lists of pgBadger
and pganalyze, and published configurations of Patroni.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache

from pg_pool_exporter.sources.server_log.format.layouts import Stderr
from pg_pool_exporter.sources.server_log.format.prefix import parse

KNOWN_PREFIXES = (
    "%m [%p] ",
    "%t ",
    "%t [%p] ",
    "%t [%p]: ",
    "%m [%p] %q%u@%d ",
    "%m [%p] %q%u@%d %a ",
    "%m [%p] %q%u@%d %e ",
    "%m [%p] %u@%d ",
    "%t [%p] %u@%d ",
    "%t [%p-%l] %q%u@%d ",
    "%t [%p-%l] %r %q%u@%d ",
    "%t [%p] %q%u@%d %h ",
    "%h %m [%p] %q%u@%d ",
    "%t:%r:%u@%d:[%p]:",
    "%m:%r:%u@%d:[%p]:%l:%e:%s:%v:%x:%c:%q%a:",
    "%t-%c-",
    "%m-%c-",
    "%t-%c-%q%u-%d-",
    "%m [%p]: [%l-1] db=%d,user=%u ",
    "%m [%p]: [%l-1] db=%d,user=%u,app=%a,client=%h ",
    "%m [%p] %q[user=%u,db=%d,app=%a] ",
    "%m [%p] %q[user=%u,db=%d,app=%a,host=%h] ",
    "[%p][%b][%v][%x] %q[user=%u,db=%d,app=%a] ",
    "%m [%p][%b][%v][%x] %q[user=%u,db=%d,app=%a] ",
    "%m [%p][%v] : [%l-1] %q[app=%a] ",
    "%t [%p]: [%l-1] %c %x %d %u %a %h ",
    "%t [%p]: [%l-1] ",
    "%t [%p]: [%l-1] user=%u,db=%d ",
    "%t [%p]: user=%u,db=%d,app=%a,client=%h ",
    "%t [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h ",
    "%m [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h ",
    "%t [%p]: [%l-1] user=%u,db=%d - PG-%e ",
    "%t [%p]: [%l-1] [trx_id=%x] user=%u,db=%d ",
    "[%p]: [%l-1] db=%d,user=%u ",
    "%m %r %u %a [%c] [%p] ",
    "pid=%p,user=%u,db=%d,app=%a,client=%h ",
    "user=%u,db=%d,app=%a,client=%h ",
    "user=%u,db=%d ",
    "%u@%d ",
    "%p-%s-%c-%l-%h-%u-%d-%m ",
    "%m pid=%p database=%d user=%u rhost=%h tid=%v sessionid=%c ",
    "[%m u=%u d=%d h=%r p=%p l=%l trans_id=%x]: ",
    "%m [%p] [%a] [%u] [%d] [%r] [%Q] [%i] [%e] [%c] | ",
    " sql_error_code = %e ",
    "",
)


def fitting(lines: Iterable[bytes], words: Sequence[bytes]) -> str | None:
    """The known prefix that many of these lines begin with, the most exact one; None if none does.

    `words` are the translations of LOG. Further lines of records do not count, and lines whose
    names hold separators prove nothing.
    """
    lines = [line for line in lines if line and not line.startswith(b"\t")]
    best = (0, 0)
    found: str | None = None
    for text in KNOWN_PREFIXES:
        record = _record(text, tuple(words))
        score = (sum(1 for line in lines if record.match(line)), len(text))
        if score[0] * 3 <= len(lines) or score <= best:
            continue
        if "%q" in text and not any(
            map(_record(text.replace("%q", ""), tuple(words)).match, lines)
        ):
            continue  # the same without what follows %q fits as well
        best, found = score, text
    return found


@cache
def _record(text: str, words: tuple[bytes, ...]) -> re.Pattern[bytes]:
    """The beginning of a record with this prefix, if possible without ambiguous names."""
    prefix = parse(text)
    if prefix.strict is None:
        return Stderr(prefix, words).record
    return re.compile(rb"(?!\t)" + prefix.strict + Stderr.LABEL)
