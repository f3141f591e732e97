"""Expressions that several dashboards use.

A ratio is of sums, never a mean of ratios, and only of processes whose maximum is known: an
unlimited pool has no use.
"""

from __future__ import annotations

from dashboards.builder.panels import BLUE, GREEN, ORANGE, RED, YELLOW, Scale, mapped
from dashboards.builder.selection import select
from pg_pool_exporter.config import Thresholds
from pg_pool_exporter.metrics import catalogue as c

POOL = "app, pool"
_PROCESS = "job, instance, app, pool, process"
_ZOMBIE_SECONDS = 60
_LOCK_SECONDS = 30
_STATEMENT_SECONDS = 30
_FLOOR = 0.5
"""Below this utilisation a pool is not shown as filling."""
_WINDOW = "30m"

_LIMITS = Thresholds()  # for pools of applications that Prometheus scrapes itself

ACTIVE = select(c.POOL_CONNECTIONS, state="active")
IDLE = select(c.POOL_CONNECTIONS, state="idle")
MAX = select(c.POOL_MAX)
BOUNDED = f"({ACTIVE} and on ({_PROCESS}) {MAX})"


def total(series: str, by: str = POOL) -> str:
    return f"sum by ({by}) ({series})"


def rate(series: str, by: str = POOL) -> str:
    """By second."""
    return f"sum by ({by}) (rate({series}[$__rate_interval]))"


def use(by: str = POOL) -> str:
    return f"{total(BOUNDED, by)} / {total(MAX, by)}"


def worst_use() -> str:
    """Of the process that is used most: each has a pool of its own, and waits for that alone."""
    return f"max by ({POOL}) ({use(_PROCESS)})"


def seconds_to_saturation() -> str:
    """At the trend of the last half hour; only for pools that are half full and filling."""
    trend = f"deriv({ACTIVE}[{_WINDOW}]) and on ({_PROCESS}) {MAX}"
    return f"({total(MAX)} - {total(BOUNDED)}) / ({total(trend)} > 0) and {use()} > {_FLOOR}"


def threshold(name: str) -> str:
    """The threshold of findings for everything."""
    default = getattr(_LIMITS, name)
    return f"(max({select(c.THRESHOLD, threshold=name, app='')}) or vector({default:g}))"


def threshold_lines(name: str) -> str:
    """The threshold of findings for everything, and those of the selected apps and pools."""
    series = select(c.THRESHOLD, threshold=name, app="$app|", pool="$pool|")
    return f"max by ({POOL}) ({series})"


def thresholds_of_pools(name: str) -> str:
    """The threshold of each selected pool: its own, else its app's, else that for everything."""
    each = f"0 * count by ({POOL}) ({ACTIVE})"
    own = f"max by ({POOL}) ({select(c.THRESHOLD, threshold=name, app='.+', pool='.+')})"
    of_app = f"max by (app) ({select(c.THRESHOLD, threshold=name, app='.+', pool='')})"
    return " or ".join(
        (
            f"{each} + on ({POOL}) {own}",
            f"{each} + on (app) group_left () {of_app}",
            f"{each} + on () group_left () {threshold(name)}",
        )
    )


POOL_SCALE = Scale(
    f"min({thresholds_of_pools('pool_utilisation')}) or {threshold('pool_utilisation')}",
    "vector(1)",
)
"""Utilisation: from the lowest threshold of the selected pools on, and when nothing is left."""
SERVER_SCALE = Scale(threshold("server_utilisation"), threshold("server_full"))
_IDLE = threshold("idle_in_transaction")
IDLE_SCALE = Scale(_IDLE, f"5 * {_IDLE}")
"""Ages of transactions that are idle."""
USED_POOLS = f"{worst_use()} > on ({POOL}) ({thresholds_of_pools('pool_utilisation')})"
"""Pools that are nearly saturated."""

LEAKED = select(c.POOL_LEAKED_SLOTS)
OVERDUE = select(c.POOL_OVERDUE)
# Both may be of one line: without a label that distinguishes them, `or` would leave one out.
NOT_RETURNED = f'({LEAKED} > 0 or label_replace({OVERDUE} > 0, "how", "overdue", "", ""))'
UNRETURNED = select(c.UNRETURNED)
WAITING = select(c.POOL_WAITING)
POOL_TIMEOUTS = select(c.POOL_TIMEOUTS)
ZOMBIES = select(c.SERVER_OLDEST_STATE, state="idle_in_transaction.*")
LOCK_AGES = select(c.SERVER_OLDEST_WAITING)

# Where a server's sessions belong to pools: by the application's name, as PostgreSQL has it.
APPLICATIONS = f"max by (application) ({select(c.POOL_INFO, application='.+')})"


def of_the_applications(series: str, by: str) -> str:
    """Of a server's `series` those of the selected pools' applications, summed `by`."""
    return f"sum by ({by}) ({series} * on (application) group_left () {APPLICATIONS})"


def oldest_of_the_applications(series: str, by: str) -> str:
    return f"max by ({by}) ({series} * on (application) group_left () {APPLICATIONS})"


_POOL_INFO = select(c.POOL_INFO)
_STUCK = f"max by (application) ({ZOMBIES} > {_ZOMBIE_SECONDS} or {LOCK_AGES} > {_LOCK_SECONDS})"
_LONG = f"{select(c.SERVER_OLDEST_STATE, state='active')} > {_STATEMENT_SECONDS}"
_WITH_LONG = f"({_POOL_INFO} and on (application) {_LONG})"
VERDICT = " or ".join(
    (
        f"0 * count by ({POOL}) ({LEAKED} > 0) + 4",
        # Before what is overdue: a checkout that waits for a lock is overdue, too.
        f"0 * max by ({POOL}) ({_POOL_INFO} and on (application) {_STUCK}) + 3",
        f"0 * count by ({POOL}) ({OVERDUE} > 0 and on ({POOL}) {_WITH_LONG}) + 3",
        f"0 * count by ({POOL}) ({OVERDUE} > 0) + 4",
        f"0 * max by ({POOL}) ({ACTIVE} and on (app) ({UNRETURNED} > 0)) + 4",
        f"0 * ({total(WAITING)} > 0) + 2",
        f"0 * ({USED_POOLS}) + 1",
        f"0 * {total(ACTIVE)}",
    )
)
"""One number a pool: what is wrong with it, the worst first."""
VERDICTS = mapped(
    {
        4: ("LEAK: not returned", RED),
        3: ("Held up in the server", ORANGE),
        2: ("LOAD: all in use, some wait", ORANGE),
        1: ("Nearly saturated", YELLOW),
        0: ("Healthy", GREEN),
    }
)


SEVERITIES = mapped(
    {"critical": ("critical", RED), "warning": ("warning", ORANGE), "info": ("info", BLUE)}
)
NOW = mapped({0: ("now", RED)})
"""Of a time until something happens."""


def firing_since(alerts: str) -> str:
    """When the condition of each firing alert became true, in ms since the epoch, as Grafana wants.

    `whose` is the application, by our name or by PostgreSQL's; `about` is the server, the bouncer
    or the target that it tells of.
    With the address of the runbooks, which stands in the settings of the rules.
    """
    firing = f'ALERTS{{alertstate="firing", {alerts}}}'
    since = f"ALERTS_FOR_STATE{{{alerts}}} and ignoring (alertstate) {firing}"
    # Of the labels that are joined an alert has one.
    whose = f'label_join({since}, "whose", "", "app", "application")'
    about = f'label_join({whose}, "about", "", "server", "bouncer", "target")'
    return (
        f"max by (alertname, severity, whose, pool, about) (1000 * {about}) "
        "* on () group_left (runbooks) max by (runbooks) (pg_pool_exporter:links:info)"
    )


RUNBOOK = "${__data.fields.Runbooks}/${__data.fields.Alert}.md"

# Slots that ordinary roles can have.
USABLE = f"({select(c.SERVER_MAX)} - {select(c.SERVER_RESERVED)})"
SERVER_USE = f"max by (server) ({select(c.SERVER_USED)}) / max by (server) {USABLE}"
USED_SERVERS = f"{SERVER_USE} > on () group_left () {threshold('server_utilisation')}"
"""Servers that are nearly full."""
