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
_RECORDED_TIME = "app_pool_process:pg_pool_time_to_saturation_seconds:min"

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
    """Of the process that is full first: the exporter's figure, or that of the rules where
    Prometheus scrapes the applications itself.
    """
    known = select(c.TIME_TO_SATURATION)
    recorded = known.replace(c.TIME_TO_SATURATION.name, _RECORDED_TIME)
    return f"min by ({POOL}) ({known} or {recorded})"


def near(limit: str, use: str) -> str:
    """The limit while at least half of it is in use: far above it would press the data flat."""
    return f"{limit} <= 2 * {use}"


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
_WAIT = threshold("bouncer_wait")
BOUNCER_WAIT_SCALE = Scale(_WAIT, f"5 * {_WAIT}")
"""How long clients of a bouncer have waited."""
USED_POOLS = f"{worst_use()} > on ({POOL}) ({thresholds_of_pools('pool_utilisation')})"
"""Pools that are nearly saturated."""

LEAKED = select(c.POOL_LEAKED_SLOTS)
OVERDUE = select(c.POOL_OVERDUE)
# Both may be of one line: without a label that distinguishes them, `or` would leave one out.
NOT_RETURNED = f'({LEAKED} > 0 or label_replace({OVERDUE} > 0, "how", "overdue", "", ""))'
WAITING = select(c.POOL_WAITING)
POOL_TIMEOUTS = select(c.POOL_TIMEOUTS)
LOCK_AGES = select(c.SERVER_OLDEST_WAITING)
IDLE_IN_TRANSACTION = select(c.SERVER_OLDEST_STATE, state="idle_in_transaction.*")

# Where a server's sessions belong to pools: by the application's name, as PostgreSQL has it.
APPLICATIONS = f"max by (application) ({select(c.POOL_INFO, application='.+')})"


def of_the_applications(series: str, by: str) -> str:
    """Of a server's `series` those of the selected pools' applications, summed `by`."""
    return f"sum by ({by}) ({series} * on (application) group_left () {APPLICATIONS})"


def oldest_of_the_applications(series: str, by: str) -> str:
    return f"max by ({by}) ({series} * on (application) group_left () {APPLICATIONS})"


# What is about none of these is among what is selected.
_ANYTHING = {name: f"${name}|" for name in ("app", "pool", "server")}


def findings(**labels: str) -> str:
    """Those about what is selected."""
    return select(c.FINDING, **{**_ANYTHING, **labels})


FINDINGS = f"max by (cause, severity, app, pool, server, target) ({findings()})"
BLAMED = (
    f"max by (cause, app, pool, server, site) ({select(c.FINDING_SITE_CONNECTIONS, **_ANYTHING)})"
)
"""Connections for which a finding blames a line of code."""
FINDINGS_OF_BOUNCERS = (
    "max by (cause, severity, bouncer, database, user, app) "
    f"({select(c.FINDING, bouncer='.+', app='.*', pool='.*', server='.*')} and on (bouncer) "
    f"{select(c.BOUNCER_UP)})"
)


def _pools_with(severity: str, number: int) -> str:
    """This number for each pool with such a finding, of its own or of its application."""
    own = f"max by ({POOL}) ({findings(severity=severity, pool='.+')})"
    of_app = f"max by (app) ({findings(severity=severity, app='.+', pool='')})"
    pools = f"count by ({POOL}) ({ACTIVE})"
    return f"0 * {own} + {number} or 0 * ({pools} and on (app) {of_app}) + {number}"


VERDICT = " or ".join(
    (
        _pools_with("problem", 3),
        _pools_with("warning", 2),
        f"0 * ({USED_POOLS}) + 1",
        f"0 * {total(ACTIVE)}",
    )
)
"""One number a pool, the worst first: what was found, else whether it is nearly saturated."""
VERDICTS = mapped(
    {
        3: ("problem", RED),
        2: ("warning", ORANGE),
        1: ("nearly saturated", YELLOW),
        0: ("no finding", GREEN),
    }
)
FOUND = mapped({"problem": ("problem", RED), "warning": ("warning", ORANGE)})


SEVERITIES = mapped(
    {"critical": ("critical", RED), "warning": ("warning", ORANGE), "info": ("info", BLUE)}
)
NOW = mapped({0: ("now", RED)})
"""Of a time until something happens."""


def firing_since(alerts: str) -> str:
    """When the condition of each firing alert became true, in ms since the epoch, as Grafana wants.

    `whose` is the application, by our name or by PostgreSQL's; `about` is the server, the bouncer
    or the target that it is about.
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
