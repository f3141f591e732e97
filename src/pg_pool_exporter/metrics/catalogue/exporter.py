"""The exporter itself."""

from __future__ import annotations

from pg_pool_exporter.metrics.catalogue.metric import family
from pg_pool_exporter.model import Health, LogCounts

# Values of the label, whose counters exist from 0 from the first moment.
POLL_FAILURE_REASONS = (
    "timeout", "refused", "auth", "protocol", "too_large", "too_many_connections", "role_limit",
    "database_limit", "permission", "not_understood", "other",
)  # fmt: skip

_exporter = family("exporter", "pg_pool_exporter")
_target = family("exporter", "pg_pool_exporter", "target", "kind", record=Health)
_log = family("exporter", "pg_pool_exporter", "target", "kind", record=LogCounts)

BUILD_INFO = _exporter(
    "gauge", "build_info",
    "1; labels give the versions of the exporter and of Python.",
    "version", "python",
)  # fmt: skip
SHARDS = _exporter(
    "gauge", "shards",
    "Exporters that the configuration is divided among, by the number of this one; absent without "
    "--shard.",
    "shard",
)  # fmt: skip
TARGET_UP = _target(
    "gauge", "target_up", "1 if the last poll of the target succeeded, else 0.", field="up"
)
POLLS = _target("counter", "polls_total", "Polls of the target.", field="polls")
POLL_FAILURES = _target(
    "counter", "poll_failures_total",
    "Failed polls of the target, by reason.",
    "reason", values=POLL_FAILURE_REASONS,
)  # fmt: skip
POLL_DURATION = _target(
    "gauge", "poll_duration_seconds", "Duration of the last poll of the target.", field="duration"
)
LAST_SUCCESS = _target(
    "gauge", "last_success_timestamp_seconds",
    "Time of the last successful poll of the target, since the epoch; absent before the first.",
    field="last_success",
)  # fmt: skip
SERIES_FOLDED = _target(
    "gauge", "series_folded",
    "Session groups, pools and sites of the target that are over a cap, folded into other or left "
    "out, and pools that another target reports, too.",
)  # fmt: skip
ANALYSIS_FAILURES = _exporter(
    "counter", "analysis_failures_total",
    "Faults of the exporter itself in an analysis. A fault costs that analysis only.",
    "analysis",
)  # fmt: skip
LAST_ANALYSIS = _exporter(
    "gauge", "last_analysis_timestamp_seconds",
    "Time of the last analysis, since the epoch: findings, and what both sides prove together, are "
    "of that time.",
)  # fmt: skip
RELOAD_SUCCESSFUL = _exporter(
    "gauge", "config_last_reload_successful",
    "1 if the last (re)load of the configuration succeeded, else 0.",
)  # fmt: skip
RELOAD_TIMESTAMP = _exporter(
    "gauge", "config_last_reload_success_timestamp_seconds",
    "Time of the last successful (re)load of the configuration, since the epoch.",
)  # fmt: skip
THRESHOLD = _exporter(
    "gauge", "threshold",
    "What findings are judged by, in base units: once for everything, and once for each app and "
    "pool that has its own.",
    "threshold", "app", "pool",
)  # fmt: skip
WEB_RELOAD_SUCCESSFUL = _exporter(
    "gauge", "web_config_last_reload_successful",
    "1 if the web configuration as it is now is in use, 0 if a former one is; absent without a "
    "--web.config.file.",
)  # fmt: skip
SOCKET_DIRECTORY_UP = _exporter(
    "gauge", "socket_directory_up",
    "1 if the last look at the whole socket directory succeeded and processes can put sockets "
    "there, else 0; absent without one.",
)  # fmt: skip
_LIST = ("app", "mechanism", "list")
DISCOVERY_UP = _exporter(
    "gauge", "discovery_up",
    "1 if the last service discovery read the whole list, else 0: known targets stay.",
    *_LIST,
)  # fmt: skip
DISCOVERY_TARGETS = _exporter("gauge", "discovery_targets", "Targets known from the list.", *_LIST)
LOG_BYTES = _log("counter", "log_bytes_total", "Bytes read of the server's log.", field="read")
LOG_LAG = _log(
    "gauge", "log_lag_bytes", "Bytes of the server's log that are not yet read.", field="lag"
)
LOG_UNPARSED = _log(
    "counter", "log_unparsed_lines_total",
    "Lines of the server's log that belong to no record; of long pieces only a sample is checked.",
    field="unparsed",
)  # fmt: skip
LOG_FORMAT = _log(
    "gauge", "log_format_info",
    "Format of the last records understood in the server's log, and what a shipper wrote around "
    "each line: always 1; absent before the first record.",
    "format", "wrapping", field="written",
)  # fmt: skip
LOG_STATE_SAVED = _log(
    "gauge", "log_state_saved",
    "1 when the position in the server's log and its counts were saved for a restart, else 0; "
    "absent without a state directory.",
    field="state_saved",
)  # fmt: skip
