"""Writes findings.yml: an alert for each cause that the exporter finds, with what shows it.

The exporter judges, and Prometheus repeats it. A new cause needs one entry in `ALERTS`, or a reason
in `WITHOUT_ALERT`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from textwrap import indent

from pg_pool_exporter.analysis.findings.finding import Cause

FILE = Path(__file__).parent / "findings.yml"

WITHOUT_ALERT = {
    Cause.UNKNOWN: "Its symptoms have: PgPoolSaturated, PgPoolTimeouts, PgBouncerClientsWaiting.",
}
"""Causes that no alert names, and why."""

BY_FINDING = '{{ if eq $labels.severity "problem" }}critical{{ else }}warning{{ end }}'


_THE_POOL = "{{ with $labels.pool }}&var-pool={{ urlquery . }}{{ end }}"


class About(Enum):
    """What a finding is about: the labels that other series of the same have, and its dashboard."""

    POOL = (("app", "pool"), f"pgpe-pool?var-app={{{{ urlquery $labels.app }}}}{_THE_POOL}")
    APP = (("app",), POOL[1])
    SERVER = (("server",), "pgpe-server?var-server={{ urlquery $labels.server }}")
    SERVER_AS_TARGET = ((), SERVER[1])
    TARGET = (("target",), "pgpe-exporter")
    BOUNCER = (
        ("bouncer", "database", "user"),
        "pgpe-bouncer?var-bouncer={{ urlquery $labels.bouncer }}",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """An alert. Its texts are templates; `$same` selects other series of what it is about, of the
    same exporter and in the same environment.
    """

    name: str
    cause: Cause
    about: About
    only: str = ""
    """More matchers, where a cause has several alerts."""
    severity: str = BY_FINDING
    """Another one where the finding's does not say whether to wake somebody."""
    waits: str = "1m"
    """Empty: it fires at once."""
    stays: str = ""
    summary: str
    says: str
    """What is wrong, with its figure."""
    shows: tuple[str, ...] = ()
    """Further evidence, in sentences that are there where the series are."""
    first: str
    """What to do first, after the word."""


LINES = """\
{{ with query (printf `sort_desc(topk(5, sum by (site) (
pg_pool_finding_site_connections{cause="leak",%s})))` $same) }}By line of code:
{{ range $number, $line := . }}{{ if $number }}, {{ end -}}
{{ $line.Labels.site }} ({{ $line.Value }}){{ end }}. {{ else -}}
{{ with query (printf `sort_desc(topk(5, sum by (site) (
{__name__=~"pg_pool_leaked_slots|pg_pool_overdue_connections",%s}) > 0))` $same) -}}
At one of the lines with long checkouts: {{ range $number, $line := . }}{{ if $number }}, {{ end -}}
{{ $line.Labels.site }} ({{ $line.Value }}){{ end }}. {{ end -}}{{ end -}}"""
RECLAIMED = """\
{{ with query (printf `sort_desc(topk(5, sum by (site) (
increase(pg_pool_reclaimed_connections_total{%s}[5m])) > 0))` $same) }}By line of code:
{{ range $number, $line := . }}{{ if $number }}, {{ end -}}
{{ $line.Labels.site }} ({{ $line.Value | printf "%.0f" }}){{ end }}. {{ end -}}"""
MADE_AT = """\
{{ with query (printf `sort_desc(topk(3, sum by (site) (
increase(pg_pool_instances_total{%s}[5m])) > 0))` $same) }}Made at
{{ range $number, $line := . }}{{ if $number }}, {{ end -}}
{{ $line.Labels.site }} ({{ $line.Value | printf "%.0f" }}){{ end }}. {{ end -}}"""
IN_USE = """\
{{ with query (printf `sum(pg_pool_connections{state="active",%s})` $same) }}Checked out now:
{{ . | first | value -}}
{{ with query (printf `sum(pg_pool_max_connections{%s})` $same) }} of {{ . | first | value -}}
{{ end }}. {{ end -}}"""
HOLD = """\
{{ with query (printf `max(app_pool_process:pg_pool_hold_seconds:mean5m{%s})` $same) -}}
A checkout lasts {{ . | first | value | humanizeDuration }} on average. {{ end -}}"""
OPEN_FOR = """\
{{ with query (printf `max(pg_server_oldest_state_seconds{
state=~"idle_in_transaction.*",application=%q,%s})` $labels.app $same) }}The oldest for
{{ . | first | value | humanizeDuration }}. {{ end -}}"""
WAITING_FOR = """\
{{ with query (printf `max(pg_server_oldest_waiting_seconds{%s})` $same) }}The longest wait:
{{ . | first | value | humanizeDuration }}. {{ end -}}"""
BLOCKED_BY = """\
{{ with query (printf `sort_desc(topk(3, sum by (application) (
pg_server_blocking_connections{%s}) > 0))` $same) }}Blocked by sessions of
{{ range $number, $one := . }}{{ if $number }}, {{ end -}}
{{ $one.Labels.application }}{{ end }}. {{ end -}}"""
SLOTS = """\
{{ with query (printf `max(server:pg_server_use:ratio{%s})` $same) }}Slots of ordinary roles in use:
{{ . | first | value | humanizePercentage }}. {{ end -}}"""
LIMITS = """\
{{ with query (printf `topk(1, server_database:pg_server_use:ratio{%s})` $same) -}}
CONNECTION LIMIT of database {{ . | first | label "database" }} in use:
{{ . | first | value | humanizePercentage }}. {{ end -}}
{{ with query (printf `topk(1, server_user:pg_server_use:ratio{%s})` $same) -}}
CONNECTION LIMIT of role {{ . | first | label "user" }} in use:
{{ . | first | value | humanizePercentage }}. {{ end -}}"""
MOST_SESSIONS = """\
{{ with query (printf `sort_desc(topk(3, sum by (application) (
pg_server_connections{%s})))` $same) }}Most sessions:
{{ range $number, $one := . }}{{ if $number }}, {{ end -}}
{{ $one.Labels.application }} ({{ $one.Value }}){{ end }}. {{ end -}}"""
AVAILABLE = """\
{{ with query (printf `max(server:pg_server_available_connections:diff{%s})` $same) -}}
Slots of ordinary roles: {{ . | first | value }}. {{ end -}}"""
REASON = """\
{{ with query (printf `topk(1, increase(
pg_pool_exporter_poll_failures_total{%s}[5m]) > 0)` $same) -}}
Polls fail with reason {{ . | first | label "reason" }}. {{ end -}}"""
REASON_OF_SERVER = """\
{{ with query (printf `topk(1, increase(pg_pool_exporter_poll_failures_total{
kind="server",target=%q,%s}[5m]) > 0)` $labels.server $same) -}}
Polls fail with reason {{ . | first | label "reason" }}. {{ end -}}"""

WAITING = """\
{{ with query (printf `sort_desc(topk(3, sum by (application) (
pg_bouncer_clients{state="waiting",%s}) > 0))` $same) }}Clients wait of
{{ range $number, $one := . }}{{ if $number }}, {{ end -}}
{{ $one.Labels.application }} ({{ $one.Value }}){{ end }}. {{ end -}}"""
CONNECTED = """\
{{ with query (printf `sort_desc(topk(3, sum by (application) (
pg_bouncer_clients{%s}) > 0))` $same) }}Most clients:
{{ range $number, $one := . }}{{ if $number }}, {{ end -}}
{{ $one.Labels.application }} ({{ $one.Value }}){{ end }}. {{ end -}}"""
ITS_POOL = "pool {{ $labels.database }}/{{ $labels.user }} of {{ $labels.bouncer }}"

ALERTS = (
    Alert(
        name="PgPoolLeak",
        cause=Cause.LEAK,
        about=About.POOL,
        # Nobody suffers before the pool is full, which has alerts of its own.
        severity="warning",
        waits="",
        summary="Connections are checked out of a pool and not returned.",
        says="""\
{{ with $labels.pool }}Pool {{ . }} of {{ $labels.app }}{{ else }}{{ $labels.app }}{{ end }} leaks.
Connections checked out and not returned: {{ $value }}.""",
        shows=(LINES, IN_USE),
        first="""\
read the code that checks them out: each way out of it, also by an exception, must return the
connection. Until the code is fixed, a restart of the process gives its slots back.""",
    ),
    Alert(
        name="PgPoolSlotsLost",
        cause=Cause.SLOTS_LOST_IN_LIBRARY,
        about=About.POOL,
        severity="warning",  # as for a leak
        summary="A pool library has lost connections of its pool.",
        says="""\
Pool {{ $labels.pool }} of {{ $labels.app }} counts connections that do not exist any more. Slots
lost: {{ $value }}.""",
        shows=(IN_USE,),
        first="restart the process: nothing else frees these slots. Then update the library.",
    ),
    Alert(
        name="PgPoolConnectionsReclaimed",
        cause=Cause.RECLAIMED_CONNECTIONS,
        about=About.POOL,
        waits="5m",
        stays="5m",
        summary="Connections are returned by the garbage collector, not by the application.",
        says="""\
Pool {{ $labels.pool }} of {{ $labels.app }} gets connections back from the garbage collector. In
the last minutes: {{ $value }}.""",
        shows=(RECLAIMED,),
        first="read the code that checks them out: it must return them on every path.",
    ),
    Alert(
        name="PgPoolPerRequest",
        cause=Cause.POOL_PER_REQUEST,
        about=About.APP,
        severity="warning",
        waits="5m",
        stays="5m",
        summary="A process makes its connection pool again and again.",
        says="""\
{{ $labels.app }} makes pools in place of former ones. In the last minutes: {{ $value }}.""",
        shows=(MADE_AT,),
        first="move the line that makes the pool to where the process starts.",
    ),
    Alert(
        name="PgPoolTooSmall",
        cause=Cause.POOL_TOO_SMALL,
        about=About.POOL,
        waits="2m",
        stays="5m",
        summary="A connection pool is too small for its load; nothing leaks and nothing is slow.",
        says="""\
Requests for a connection of pool {{ $labels.pool }} of {{ $labels.app }} wait, although its
connections come back soon. Requests that wait: {{ $value | humanize }}.""",
        shows=(HOLD, IN_USE),
        first="""\
look whether the server has slots left; then give the pool more, or start fewer requests at
once.""",
    ),
    Alert(
        name="PgPoolLongCheckouts",
        cause=Cause.LONG_CHECKOUTS,
        about=About.POOL,
        waits="2m",
        stays="5m",
        summary="A connection pool is full because each connection is checked out for long.",
        says="""\
Requests for a connection of pool {{ $labels.pool }} of {{ $labels.app }} wait, because other
checkouts last long. Requests that wait: {{ $value | humanize }}.""",
        shows=(HOLD, IN_USE),
        first="""\
look on the server what the application's active sessions run; a larger pool would only move the
queue there.""",
    ),
    Alert(
        name="PgServerIdleInTransaction",
        cause=Cause.IDLE_IN_TRANSACTION,
        about=About.SERVER,
        summary="A transaction is open and nothing happens in it.",
        says="""\
Sessions of {{ $labels.app }} on {{ $labels.server }} that are idle in transaction: {{ $value }}.
They hold their locks and keep vacuum from cleaning up.""",
        shows=(OPEN_FOR,),
        first="""\
find the session in pg_stat_activity: its last query says which code left the transaction open.""",
    ),
    Alert(
        name="PgServerLockPileUp",
        cause=Cause.LOCK_PILE_UP,
        about=About.SERVER,
        stays="2m",
        summary="Sessions wait for locks, or transactions deadlocked.",
        says="Sessions on {{ $labels.server }} that wait for a lock, or deadlocks: {{ $value }}.",
        shows=(WAITING_FOR, BLOCKED_BY),
        first="""\
find the session at the head of the queue with pg_blocking_pids(), and end it if it may be ended;
the others then go on by themselves.""",
    ),
    Alert(
        name="PgServerFull",
        cause=Cause.SERVER_FULL,
        about=About.SERVER,
        stays="2m",
        summary="Most connections of a server are in use.",
        says="The connections of {{ $labels.server }} are nearly used up.",
        shows=(SLOTS, MOST_SESSIONS),
        first="""\
free some: stop what is not needed, or end sessions that have been idle for longest.""",
    ),
    Alert(
        name="PgServerConnectionLimit",
        cause=Cause.CONNECTION_LIMIT,
        about=About.SERVER,
        stays="2m",
        summary="Most of the CONNECTION LIMIT of a role or a database is in use.",
        says="""\
The CONNECTION LIMIT of {{ if $labels.database }}database {{ $labels.database }}{{ else -}}
role {{ $labels.user }}{{ end }} on {{ $labels.server }} is nearly used up.""",
        shows=(LIMITS, MOST_SESSIONS),
        first="""\
look which application has most of its sessions, and whether they work or are idle.""",
    ),
    Alert(
        name="PgServerLoginsHang",
        cause=Cause.LOGINS_HANG,
        about=About.SERVER,
        severity="critical",
        summary="PostgreSQL accepts no new connections, and answers those that it has.",
        says="A login on {{ $labels.server }} has had no answer for at least a minute.",
        first="look whether the postmaster runs, and whether a lock or the authentication hangs.",
    ),
    Alert(
        name="PgPoolLogNotUnderstood",
        cause=Cause.LOG_NOT_UNDERSTOOD,
        about=About.TARGET,
        severity="warning",
        waits="10m",
        summary="Lines of a server's log are not understood; its counters are absent or too low.",
        says="The log of {{ $labels.target }} is not in the format that is read.",
        first="look at the exporter's page: it has the shape of a line and the expected format.",
    ),
    Alert(
        name="PgServerOversubscribed",
        cause=Cause.SERVER_OVERSUBSCRIBED,
        about=About.SERVER,
        waits="10m",
        summary="All pools together may open more connections than the server accepts.",
        says="Connections that the pools of {{ $labels.server }} may open: {{ $value }}.",
        shows=(AVAILABLE, MOST_SESSIONS),
        first="""\
look which application has the largest maximum times processes; it can be less, or a PgBouncer can
stand in between.""",
    ),
    Alert(
        name="PgServerDown",
        cause=Cause.POSTGRESQL_UNREACHABLE,
        about=About.SERVER_AS_TARGET,
        severity="critical",
        summary="PostgreSQL does not answer the exporter.",
        says="{{ $labels.server }} has not answered for at least a minute.",
        shows=(REASON_OF_SERVER,),
        first="look at the reason in the exporter's log, then try psql from its host.",
    ),
    Alert(
        name="PgServerSessionsHidden",
        cause=Cause.SESSIONS_HIDDEN,
        about=About.SERVER,
        severity="warning",
        waits="10m",
        summary="""\
The exporter may not see what sessions do; leaks, transactions and locks are unknown.""",
        says="The state of sessions on {{ $labels.server }} is hidden from the exporter.",
        first="GRANT pg_monitor to the exporter's role.",
    ),
    Alert(
        name="PgPoolLoginFailed",
        cause=Cause.LOGIN_FAILED,
        about=About.TARGET,
        summary="The exporter can't log in.",
        says="""\
{{ with $labels.server }}Server {{ . }}{{ else }}{{ $labels.target }}{{ end }} refuses the login of
the exporter, or the password can't be read.""",
        first="""\
read the reason in the exporter's log, then log in from its host with the same role and
password.""",
    ),
    Alert(
        name="PgBouncerIdleInTransaction",
        cause=Cause.BOUNCER_IDLE_IN_TRANSACTION,
        about=About.BOUNCER,
        summary="Clients of PgBouncer keep connections to the server idle in transaction.",
        says=f"""\
Connections that {{{{ $labels.app }}}} keeps idle in transaction, of
{ITS_POOL}: {{{{ $value }}}}. No other client gets them.""",
        shows=(WAITING,),
        first="""\
look at the exporter's page: it has the client's address, and the line that makes its pool.""",
    ),
    Alert(
        name="PgBouncerSessionHeld",
        cause=Cause.BOUNCER_SESSION_HELD,
        about=About.BOUNCER,
        summary="Clients of PgBouncer wait while others keep connections and do nothing.",
        says=f"""\
Connections that clients of {ITS_POOL}
keep in session mode without using them: {{{{ $value }}}}.""",
        shows=(WAITING,),
        first="""\
look whether the application can do with transaction mode; else its pools are too large for the
bouncer's.""",
    ),
    Alert(
        name="PgBouncerLongTransactions",
        cause=Cause.BOUNCER_LONG_TRANSACTIONS,
        about=About.BOUNCER,
        stays="2m",
        summary="Clients of PgBouncer wait because transactions of others last long.",
        says=f"""\
Clients that wait for a connection of
{ITS_POOL}: {{{{ $value }}}}.""",
        shows=(WAITING,),
        first="""\
look on the server what the active sessions run; a larger pool would only move the queue there.""",
    ),
    Alert(
        name="PgBouncerPoolTooSmall",
        cause=Cause.BOUNCER_POOL_TOO_SMALL,
        about=About.BOUNCER,
        stays="2m",
        summary="A pool of PgBouncer is too small for its load; nothing is held and nothing slow.",
        says=f"""\
Clients that wait for a connection of
{ITS_POOL}, although connections come back soon, or other pools have them: {{{{ $value }}}}.""",
        shows=(WAITING,),
        first="look whether the server has slots left; then give the pool more.",
    ),
    Alert(
        name="PgBouncerServerUnavailable",
        cause=Cause.BOUNCER_SERVER_UNAVAILABLE,
        about=About.BOUNCER,
        summary="PgBouncer gets no connection, or no more, to the server behind it.",
        says=f"""\
Clients that wait at {ITS_POOL}, which gets no connection, or no more: {{{{ $value }}}}.""",
        shows=(WAITING,),
        first="look into the bouncer's log for the reason, then at the server.",
    ),
    Alert(
        name="PgBouncerPaused",
        cause=Cause.BOUNCER_PAUSED,
        about=About.BOUNCER,
        waits="5m",
        summary="Somebody has paused or disabled PgBouncer, or a database of it.",
        says="""\
{{ with $labels.database }}Database {{ . }} of {{ end }}{{ $labels.bouncer }} is paused or
disabled.""",
        shows=(WAITING,),
        first="ask who stopped it, and whether a failover or an upgrade still runs.",
    ),
    Alert(
        name="PgBouncerTooManyClients",
        cause=Cause.BOUNCER_TOO_MANY_CLIENTS,
        about=About.BOUNCER,
        stays="2m",
        summary="PgBouncer has nearly as many clients as it accepts.",
        says="""\
Clients of {{ $labels.bouncer }}{{ with $labels.database }}, database {{ . }}{{ end -}}
{{ with $labels.user }}, user {{ . }}{{ end }}: {{ $value }}. Beyond the limit they are refused.""",
        shows=(CONNECTED,),
        first="look which application has the most.",
    ),
    Alert(
        name="PgBouncerLimitsOversubscribed",
        cause=Cause.BOUNCER_LIMITS_OVERSUBSCRIBED,
        about=About.BOUNCER,
        severity="warning",
        waits="10m",
        summary="More may be asked of a limit of PgBouncer, or of its server, than it allows.",
        says="""\
Connections that may be asked for, of the limit of {{ $labels.bouncer }} that gives first:
{{ $value }}.""",
        shows=(CONNECTED,),
        first="look at the exporter's page: it has the limits from the pools to the server.",
    ),
    Alert(
        name="PgBouncerLogins",
        cause=Cause.BOUNCER_LOGINS,
        about=About.BOUNCER,
        severity="warning",
        waits="5m",
        stays="5m",
        summary="Clients of PgBouncer log in nearly as often as they have a transaction.",
        says="""\
Logins a second to database {{ $labels.database }} of {{ $labels.bouncer }}: {{ $value }}.""",
        shows=(CONNECTED,),
        first="look which application connects for each request, and give it a pool.",
    ),
    Alert(
        name="PgBouncerDown",
        cause=Cause.TARGET_UNREACHABLE,
        only=',bouncer!=""',
        about=About.TARGET,
        severity="critical",
        summary="PgBouncer does not answer the exporter.",
        says="{{ $labels.bouncer }} has not answered for at least a minute.",
        shows=(REASON,),
        first="look at the reason in the exporter's log, then try psql to its admin console.",
    ),
    Alert(
        name="PgPoolTargetDown",
        cause=Cause.TARGET_UNREACHABLE,
        only=',bouncer=""',
        about=About.TARGET,
        severity="warning",
        waits="3m",
        summary="The exporter can't read one of its targets.",
        says="{{ $labels.target }} has not been read for 3 minutes, so alerts about it are blind.",
        shows=(REASON,),
        first="look at the reason in the exporter's log, then fetch its page with curl.",
    ),
)

_HEADER = """\
# Generated by findings.py; `make rules` writes it again.
#
# What the exporter finds, as its page, `doctor` and the API say it. What decides stands in its
# configuration (`thresholds:`).
groups:
  - name: pg-pool-exporter-findings
    rules:
"""
_LINK = '{{ with query "pg_pool_exporter:links:info" }}{{ . | first | label "%s" }}{{ end }}/%s'
_OF_A_FINDING = (
    "cause", "severity", "app", "pool", "server", "database", "user", "bouncer", "target",
)  # fmt: skip


def rules() -> str:
    """The file."""
    return _HEADER + "\n".join(indent(_rule(one), " " * 6) for one in ALERTS)


def _rule(alert: Alert) -> str:
    found = f'pg_pool_finding{{cause="{alert.cause.value}"{alert.only}}}'
    if alert.severity != BY_FINDING:
        found = f"max without (severity) ({found})"
    lines = [f"- alert: {alert.name}", f"  expr: {found}"]
    if alert.waits:
        lines.append(f"  for: {alert.waits}")
    if alert.stays:
        lines.append(f"  keep_firing_for: {alert.stays}")
    quoted = f"'{alert.severity}'" if "{" in alert.severity else alert.severity
    lines += [
        "  labels:",
        f"    severity: {quoted}",
        "  annotations:",
        f"    summary: {alert.summary}",
        "    description: >-",
        indent(_description(alert), " " * 6),
        f"    runbook_url: '{_LINK % ('runbooks', f'{alert.name}.md')}'",
        f"    dashboard: '{_LINK % ('dashboards', f'd/{alert.about.value[1]}')}'",
    ]
    return "\n".join(lines) + "\n"


def _description(alert: Alert) -> str:
    parts = [_same(alert.about)] if alert.shows else []
    return "\n".join((*parts, alert.says, *alert.shows, f"First {alert.first}"))


def _same(about: About) -> str:
    """Sets `$same` to matchers of all labels but those that only findings have."""
    others = "|".join(name for name in _OF_A_FINDING if name not in about.value[0])
    return f"""\
{{{{ $same := "" }}}}{{{{ range $name, $value := $labels -}}}}
{{{{ if not (match "^(__name__|{others})$" $name) -}}}}
{{{{ $same = printf "%s%s=%q," $same $name $value }}}}{{{{ end }}}}{{{{ end -}}}}"""


def main() -> None:
    """Write it."""
    FILE.write_text(rules())


if __name__ == "__main__":
    main()
