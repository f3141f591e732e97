"""Pool: since when, leak or load, which line of code or which state in the server, what to do."""

from __future__ import annotations

from collections.abc import Iterator

from grafana_foundation_sdk.builders import dashboard as builders

from dashboards.builder import queries as q
from dashboards.builder.alerts import firing
from dashboards.builder.found import blamed, findings
from dashboards.builder.frame import ALERTS_OF_POOLS, Marks, fill, page, to_server
from dashboards.builder.panels import (
    ANY,
    BLUE,
    GREY,
    HINT,
    ORANGE,
    RED,
    SOON,
    Column,
    Panel,
    Query,
    heat,
    lines,
    numbers,
    rows,
    words,
)
from dashboards.builder.selection import select
from pg_pool_exporter.metrics import catalogue as c

_NAME = "{{app}} {{pool}}"
# Through the exporter's cache the integral is exact over at least 20 polls.
_INTEGRAL = "2m"
_THRESHOLD = Query(q.threshold_lines("pool_utilisation"), f"threshold {_NAME}")
_QUANTILES = (0.5, 0.95, 0.99)

_WHAT_TO_DO = """\
**leak**: a line of code checks out and never returns. Open the line in the table above; restart \
that process to have its slots back. More connections only delay it.

**idle_in_transaction**, **lock_pile_up**, **long_checkouts**: the server holds it up. The table \
on the left has whose session, the server's dashboard who blocks. End that session: \
`pg_terminate_backend`.

**pool_too_small**: everything is in use and comes back. Is the server's CPU free? Then a larger \
pool; else fewer requests at once.

**unknown**, or nearly saturated without a finding: does *hold* rise? Queries have become slow. \
Does only the rate rise? Traffic is new.
"""


def dashboard() -> builders.Dashboard:
    made = page(
        "pool", "Pool",
        "One pool or several: how full since when, leak or load, the line of code or the state in "
        "the server that is to blame, and what to do.",
        shown=("app", "pool", "server"),
    )  # fmt: skip
    return fill(
        made,
        Marks(
            f'{ALERTS_OF_POOLS}, app!=""',
            ("Connections", "Wait: percentiles and mean", "Timeouts by kind"),
        ),
        *_now(),
        findings(w=14, h=7),
        blamed(w=10, h=7),
        *_story(),
        "Waiting for a connection, and holding it",
        *_durations(),
        "Timeouts, requests, sessions",
        *_counts(),
        "How large the pool should be",
        *_size(),
        "How the pool is handled",
        *_handling(),
        "By process",
        *_processes(),
    )


def _now() -> Iterator[Panel]:
    yield numbers(
        "What is wrong",
        "The worst finding about the pool or its application; else whether it is nearly saturated. "
        "Findings need an exporter that reads the pool.",
        "short", Query(q.VERDICT, _NAME), w=6, mappings=q.VERDICTS, none="no data",
    )  # fmt: skip
    yield numbers(
        "Utilisation", "Checked out, of the maximum. Nothing where the maximum isn't known.",
        "percentunit", Query(q.use(), _NAME), w=4, steps=q.POOL_SCALE, none="unlimited",
    )  # fmt: skip
    yield numbers(
        "Waiting now", "Requests queued for a connection.",
        "short", Query(q.total(q.WAITING), _NAME), w=3, steps=HINT,
    )  # fmt: skip
    yield numbers(
        "Not returned", "Leaked for certain, or out for longer than the leak threshold.",
        "short", Query(q.total(q.NOT_RETURNED), _NAME), w=3, steps=ANY,
    )  # fmt: skip
    yield numbers(
        "Timed out waiting", "Requests that gave up waiting for a connection, by second.",
        "reqps", Query(q.rate(select(c.POOL_TIMEOUTS, kind="pool")), _NAME),
        w=4, steps={1 / 3600: RED},
    )  # fmt: skip
    yield numbers(
        "Full in", "At the pace of the last hour, while the pool fills.",
        "s", Query(q.seconds_to_saturation(), _NAME),
        w=4, steps=SOON, none="not in sight", mappings=q.NOW,
    )  # fmt: skip


def _story() -> Iterator[Panel]:
    yield lines(
        "Connections",
        "Checked out and idle, of all selected pools, under their maximum; and who waits. The red "
        "band is the time in which critical alerts fire.",
        "short",
        Query(f"sum({q.ACTIVE})", "active"),
        Query(f"sum({q.IDLE})", "idle"),
        Query(f"sum({q.WAITING})", "waiting"),
        Query(f"sum({q.MAX})", "max"),
        w=7, h=8, stack=("active|idle",), limit="max",
        colours={"active": BLUE, "idle": GREY, "waiting": ORANGE},
    )  # fmt: skip
    yield rows(
        "Not returned, by line of checkout",
        "Leaked: the connection was dropped, its slot is lost until the process ends. Overdue: it "
        "is still out, and may come back.",
        {"A": f"sum by (app, site) ({q.LEAKED})", "B": f"sum by (app, site) ({q.OVERDUE})"},
        [
            Column("app", "App", width=110),
            Column("site", "Line of code"),
            Column("A", "Leaked", steps=ANY, width=70),
            Column("B", "Overdue", steps=HINT, width=80),
        ],
        w=9, h=8, by="Leaked", none="everything comes back",
    )  # fmt: skip
    yield firing(
        "Since when",
        "Firing alerts of the selected pools and servers, and since when their condition has held. "
        "Each name leads to a runbook.",
        ALERTS_OF_POOLS, about="Server", with_pool=False, w=8, h=8, none="no alert is firing",
    )  # fmt: skip
    yield rows(
        "The same application, seen by the server",
        "Its sessions by state, the oldest first. Idle in transaction for long is a transaction "
        "left open; active for long is a slow query or one that waits for a lock.",
        {
            "A": q.oldest_of_the_applications(
                select(c.SERVER_OLDEST_STATE), "server, application, state"
            ),
            "B": q.of_the_applications(
                select(c.SERVER_CONNECTIONS), "server, application, state"
            ),
        },
        [
            Column("server", "Server", link=to_server("${__data.fields.Server}")),
            Column("application", "Application"),
            Column("state", "State"),
            Column("B", "Sessions", width=80),
            Column("A", "Oldest", "s", width=90),
        ],
        w=9, h=7, by="Oldest",
    )  # fmt: skip
    yield lines(
        "Its locks, in the server",
        "Sessions of the application that wait for a lock, and that hold up others.",
        "short",
        *(
            Query(q.of_the_applications(select(metric), "server"), f"{word} {{{{server}}}}")
            for word, metric in (("waiting", c.SERVER_WAITING), ("blocking", c.SERVER_BLOCKING))
        ),
        w=7, h=7, none="no lock is waited for",
    )  # fmt: skip
    yield words("What to do", "The first steps for each verdict.", _WHAT_TO_DO, w=8, h=7)


def _durations() -> Iterator[Panel]:
    for word, histogram, seconds, count, meaning in (
        (
            "Wait", c.POOL_ACQUIRE, c.POOL_ACQUIRE_WAIT, c.POOL_ACQUIRED,
            "Time from asking for a connection to having it.",
        ),
        (
            "Hold", c.POOL_HOLD, c.POOL_HELD, c.POOL_RETURNED,
            "Time from checkout to return. When it rises, queries have become slow.",
        ),
    ):  # fmt: skip
        yield lines(
            f"{word}: percentiles and mean",
            f"{meaning} The mean is for libraries that report nothing else.",
            "s",
            *(
                Query(
                    f"histogram_quantile({share}, "
                    f"{q.rate(select(histogram, '_bucket'), 'le')})",
                    f"p{share * 100:g}",
                )
                for share in _QUANTILES
            ),
            Query(
                f"sum(rate({select(seconds)}[$__rate_interval])) / "
                f"(sum(rate({select(count)}[$__rate_interval])) > 0)",
                "mean",
            ),
            w=12, h=8,
        )  # fmt: skip
        yield heat(
            f"{word}: how it is spread",
            f"{meaning} Two bands are two kinds of requests.",
            Query(
                f"sum by (le) (increase({select(histogram, '_bucket')}[$__rate_interval]))",
                "{{le}}",
            ),
        )


def _counts() -> Iterator[Panel]:
    yield lines(
        "Timeouts by kind", "What the application saw, by second.",
        "cps", Query(q.rate(q.POOL_TIMEOUTS, "kind"), "{{kind}}"),
    )  # fmt: skip
    yield lines(
        "Requests", "Asked for a connection; had to queue; refused at once. By second.",
        "reqps",
        Query(f"sum(rate({select(c.POOL_REQUESTS)}[$__rate_interval]))", "all"),
        Query(f"sum(rate({select(c.POOL_QUEUED)}[$__rate_interval]))", "queued"),
        Query(f"sum(rate({select(c.POOL_REJECTED)}[$__rate_interval]))", "refused"),
    )  # fmt: skip
    yield lines(
        "Sessions opened, failed, found dead",
        "Connections that the pool made, could not make, and found closed by the server or the "
        "network. By second.",
        "cps",
        Query(f"sum(rate({select(c.POOL_CONNECTS)}[$__rate_interval]))", "opened"),
        Query(f"sum(rate({select(c.POOL_CONNECT_ERRORS)}[$__rate_interval]))", "failed"),
        Query(f"sum(rate({select(c.POOL_LOST)}[$__rate_interval]))", "found dead"),
    )  # fmt: skip
    yield lines(
        "Mean use, bursts included",
        "The integral of checked-out connections: sees what happens between scrapes.",
        "percentunit",
        Query(
            f"{q.rate(select(c.POOL_ACTIVE_SECONDS))} / {q.total(q.MAX)}", _NAME, min_step=_INTEGRAL
        ),
        _THRESHOLD,
        limit="threshold.*", limit_colour=ORANGE, top=1,
    )  # fmt: skip
    yield lines(
        "Saturated",
        "Share of the time in which every connection was checked out: sees the spike that no "
        "scrape hit. The worst process of each pool.",
        "percentunit",
        Query(
            f"max by (app, pool) (rate({select(c.POOL_SATURATED_SECONDS)}[$__rate_interval]))",
            _NAME, min_step=_INTEGRAL,
        ),
        top=1,
    )  # fmt: skip
    yield lines(
        "Both sides together",
        "Unreturned is proven: checked out the whole time while the server saw them do nothing. "
        "Unexplained is estimated by Little's law, suspects are a hint. Missing sessions are in "
        "the pools but not in the server.",
        "short",
        *(
            Query(f"max by (app, server) ({select(metric)})", f"{word} {{{{app}}}} {{{{server}}}}")
            for word, metric in (
                ("unreturned", c.UNRETURNED),
                ("suspects", c.UNRETURNED_SUSPECTED),
                ("unexplained", c.UNEXPLAINED),
                ("missing", c.MISSING_SESSIONS),
            )
        ),
        none="the server of these pools isn't known",
    )  # fmt: skip


def _size() -> Iterator[Panel]:
    yield lines(
        "Size: now, needed, recommended",
        "The maximum of each process; what the busiest hour of the last day needs, so that a "
        "connection is free for this share of the time; and the recommended maximum, which "
        "there is room for.",
        "short",
        Query(f"max by (app, pool) ({q.MAX})", f"now {_NAME}"),
        Query(
            f"max by (app, pool, share) ({select(c.NEEDED_MAX)})", f"needed {{{{share}}}} {_NAME}"
        ),
        Query(f"max by (app, pool) ({select(c.RECOMMENDED_MAX)})", f"recommended {_NAME}"),
        w=12, limit="now.*", none="measured for less than ten minutes",
    )  # fmt: skip
    yield lines(
        "Demand",
        "Connections checked out and requests waiting together, on average, and the level that was "
        "exceeded for 1 % and for 0.1 % of the time. Of one process.",
        "short",
        Query(
            f"sum by (app, pool) (rate({select(c.POOL_DEMAND, '_sum')}[$__rate_interval]))"
            f" / sum by (app, pool) (rate({select(c.POOL_DEMAND, '_count')}[$__rate_interval]))",
            f"mean {_NAME}",
        ),
        *(
            Query(
                f"histogram_quantile({share}, sum by (app, pool, le) "
                f"(rate({select(c.POOL_DEMAND, '_bucket')}[$__rate_interval])))",
                f"{share} {_NAME}",
            )
            for share in c.NEEDED_MAX.values
        ),
        w=12, none="not reported",
    )  # fmt: skip


def _handling() -> Iterator[Panel]:
    made = f"increase({select(c.POOL_INSTANCES)}[5m])"
    yield lines(
        "Returned by the garbage collector",
        "Connections of SQLAlchemy that nobody returned, in five minutes, by the line that checked "
        "them out. Each was checked out until it was collected.",
        "short",
        Query(f"sum by (app, site) (increase({select(c.POOL_RECLAIMED)}[5m]))", "{{app}} {{site}}"),
        none="the application returns them all",
    )  # fmt: skip
    yield lines(
        "Pools by the line that makes them",
        "How many there are, and how many were made in place of former ones in five minutes. A "
        "process makes its pool once: what goes on rising is a pool for each request.",
        "short",
        Query(f"count by (app, site) ({made})", "{{app}} {{site}}"),
        Query(f"sum by (app, site) ({made})", "made anew {{app}} {{site}}"),
        none="not reported",
    )  # fmt: skip
    yield lines(
        "Slots lost inside the library",
        "Connections that the pool counts, and that are neither idle, nor checked out, nor being "
        "made. Only a restart of the process frees them.",
        "short", Query(q.total(select(c.POOL_UNACCOUNTED)), _NAME), none="not reported",
    )  # fmt: skip


def _processes() -> Iterator[Panel]:
    yield lines(
        "Utilisation by process",
        "One worker that is full hides among many that are idle.",
        "percentunit",
        Query(q.use("app, pool, process"), "{{app}} {{pool}} {{process}}"),
        _THRESHOLD,
        w=12, h=8, limit="threshold.*", limit_colour=ORANGE, top=1,
    )  # fmt: skip
    yield lines(
        "Ages",
        "The oldest checkout, the longest wait, the longest idle connection.",
        "s",
        Query(f"max by (app, pool) ({select(c.POOL_OLDEST_ACTIVE)})", f"out {_NAME}"),
        Query(f"max by (app, pool) ({select(c.POOL_OLDEST_WAITING)})", f"waiting {_NAME}"),
        Query(f"max by (app, pool) ({select(c.POOL_OLDEST_IDLE)})", f"idle {_NAME}"),
        w=12, h=8,
    )  # fmt: skip
